"""`python -m services.auth`: see `shared.commands` for the verbs."""

from services.auth.app import create_app
from services.auth.settings import Settings
from services.auth.worker import create_worker
from shared.commands import run

run("auth", settings=Settings, create_app=create_app, create_worker=create_worker)
