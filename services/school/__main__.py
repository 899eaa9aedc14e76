"""`python -m services.school`: see `shared.commands` for the verbs."""

from services.school.app import create_app
from services.school.followed.command import REBUILD_TODAY
from services.school.settings import Settings
from services.school.worker import create_worker
from shared.commands import run

run("school", settings=Settings, create_app=create_app, create_worker=create_worker, verbs=[REBUILD_TODAY])
