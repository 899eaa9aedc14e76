"""What auth does unasked: it follows schools and people, answers requests of new passwords and keeps its keys."""

from functools import partial

from services.auth.accounts.actions import bootstrap
from services.auth.caches import KINDS
from services.auth.keys.actions import keep_keys
from services.auth.kit import Kit
from services.auth.passwords.actions import answer_requests
from services.auth.roster import reactions as roster
from services.auth.sessions import actions as sessions
from services.auth.settings import Settings
from shared.cache import Cache
from shared.contracts.academic import GuardianChanged, StudentChanged, TeacherChanged
from shared.contracts.school import SchoolChanged
from shared.database import Database
from shared.worker import Worker, every, on

REPEAT_REVOCATIONS_S = 5.0
MEASURE_S = 30.0
DAY_S = 86_400.0


def create_worker(settings: Settings, database: Database, kit: Kit | None = None) -> Worker:
    kit = kit or Kit(settings)
    cache = Cache("auth", settings, KINDS)
    database.tell_of_changes(cache.drop)
    return Worker(
        "auth",
        database=database,
        bus_url=settings.bus_url,
        reactions=[
            on(SchoolChanged, roster.school_changed),
            on(TeacherChanged, partial(roster.teacher_changed, kit.revocations)),
            on(StudentChanged, partial(roster.student_changed, kit.revocations)),
            on(GuardianChanged, partial(roster.guardian_changed, kit.revocations)),
        ],
        tasks=[
            every(settings.poll_s, "answer_reset_requests", partial(answer_requests, database, kit)),
            every(REPEAT_REVOCATIONS_S, "tell_of_revoked", partial(sessions.tell_of_revoked, database, kit)),
            every(MEASURE_S, "measure_sessions", partial(sessions.measure, database, kit)),
            every(3600.0, "prune_sessions", partial(sessions.prune, database, kit)),
            every(DAY_S, "keep_keys", partial(keep_keys, database, kit)),
            every(DAY_S, "bootstrap", partial(bootstrap, database, kit)),
        ],
        resources=[cache],
    )
