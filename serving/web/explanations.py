"""The routes at which a service explains its problems: where the `type` of each leads."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from serving.web.catalogue import NOT_FOUND, PREFIX, ProblemType
from serving.web.contract import problems
from serving.web.security import ApiKey


class Explanation(BaseModel):
    """A type of problem."""

    type: str = Field(description="As problem documents say it.", examples=["/problems/not-found"])
    status: int = Field(description="Of the responses.", examples=[404])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    meaning: str = Field(description="What has happened.")
    remedy: str = Field(description="What the client can do.")


class Explanations(BaseModel):
    """All types of problems."""

    items: list[Explanation]


def explanations(types: Sequence[ProblemType], api_key: ApiKey) -> APIRouter:
    """The routes.

    Args:
        types: what is explained.
        api_key: the dependency that demands one, as all but probes do.
    """
    router = APIRouter(
        tags=["problems"], dependencies=[Depends(api_key)], route_class=api_key.route_class
    )
    known = {
        one.slug: Explanation(
            type=one.path,
            status=one.status,
            title=one.title,
            meaning=one.meaning,
            remedy=one.remedy,
        )
        for one in types
    }

    @router.get(
        PREFIX.rstrip("/"),
        operation_id="list_problems",
        summary="List the types of problems",
        responses=problems(),
    )
    async def list_problems() -> Explanations:
        """Every type of problem that a response may have."""
        return Explanations(items=list(known.values()))

    @router.get(
        PREFIX + "{slug}",
        operation_id="read_problem",
        summary="Explain a type of problem",
        responses=problems(NOT_FOUND),
    )
    async def read_problem(slug: str) -> Explanation:
        """What a type of problem means, and what to do."""
        if slug not in known:
            raise HTTPException(404, "there is no such type of problem")
        return known[slug]

    return router
