"""`python -m services.communication`: see `shared.commands` for the verbs."""

from services.communication.app import create_app
from services.communication.settings import Settings
from services.communication.worker import create_worker
from shared.commands import run

run("communication", settings=Settings, create_app=create_app, create_worker=create_worker)
