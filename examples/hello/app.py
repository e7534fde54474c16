"""The application: one route, besides those that every service has."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from examples.hello.identity import IDENTITY
from examples.hello.settings import Settings
from serving.watch.health import Health
from serving.web.application import Application
from serving.web.operations import operations_routes


class Greeting(BaseModel):
    """What is said."""

    greeting: str = Field(examples=["Hello, Ada"])


def create_app(settings: Settings) -> Application:
    """Make the ASGI application."""
    app = Application(IDENTITY, web=settings, watch=settings, description="It greets.")
    # Whoever runs it says whether a key is needed: AUTH_REQUIRED.
    router = APIRouter(
        tags=["greetings"],
        dependencies=[Depends(app.api_key)],
        route_class=app.api_key.route_class,
    )

    @router.get("/api/v1/greetings/{name}", operation_id="greet")
    async def greet(name: str) -> Greeting:
        """A greeting for somebody."""
        return Greeting(greeting=f"{settings.salutation}, {name}")

    health = Health(app.lifecycle, required=[])
    app.add_routes([router, operations_routes(health, app.registry, app.api_key)])
    return app
