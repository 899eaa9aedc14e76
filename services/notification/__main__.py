"""`python -m services.notification`: see `shared.commands` for the verbs."""

from services.notification.app import create_app
from services.notification.settings import Settings
from services.notification.worker import create_worker
from shared.commands import run

run("notification", settings=Settings, create_app=create_app, create_worker=create_worker)
