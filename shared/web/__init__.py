"""What makes a set of routers a service of this house."""

from shared.web.app import ServiceSettings, build_app
from shared.web.openapi import openapi_document
from shared.web.rendering import ProblemDocument

__all__ = ["ProblemDocument", "ServiceSettings", "build_app", "openapi_document"]
