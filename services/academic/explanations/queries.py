"""SQL over what explains that a student is not there: of absence reports, those in effect."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from services.academic.explanations.schemas import Explanation
from shared.database import Reader

# In effect is what the office accepted, and an absence that it has not refused. Uses absence_report_student.
EXPLANATIONS = """
SELECT id AS absence_report_id, student_id, kind, starts_on, ends_on, starts_at, ends_at
FROM absence_report
WHERE school_id = %(school_id)s
AND student_id = ANY(%(student_ids)s)
AND ends_on >= %(day)s
AND starts_on <= %(day)s
AND (state = 'accepted' OR (state = 'pending' AND kind = 'absence'))
ORDER BY student_id, id
LIMIT 5000
"""


async def explanations(reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date) -> list[Explanation]:
    """What explains absences of these students on a day; for one student the earlier report comes first."""
    return await reader.all(Explanation, EXPLANATIONS, school_id=school_id, student_ids=list(student_ids), day=day)
