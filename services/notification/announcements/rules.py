"""Which text of an announcement people read. Pure."""

from services.notification.announcements.schemas import Content, Known
from shared.contracts.communication import AnnouncementSent


def newest(event: AnnouncementSent, known: Known) -> Content:
    """As it was sent, unless something later is known. What is known of an earlier edition is older than what was sent,
    its end too.
    """
    if known.edition is None or known.title is None or known.body is None or known.edition < event.edition:
        return Content(edition=event.edition, title=event.title, body=event.body, expires_at=None)
    return Content(edition=event.edition, title=known.title, body=known.body, expires_at=known.expires_at)
