-- No statement of the service uses it: tokens go with their session.
REVOKE DELETE ON refresh_token FROM auth_app;
