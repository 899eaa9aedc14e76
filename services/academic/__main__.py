"""`python -m services.academic`: see `shared.commands` for the verbs."""

from services.academic.app import create_app
from services.academic.settings import Settings
from services.academic.worker import create_worker
from shared.commands import run

run("academic", settings=Settings, create_app=create_app, create_worker=create_worker)
