"""Whom Prefect's server tells of what went wrong: a notification block, made of the setting MATLIFT_NOTIFY."""

from typing import cast
from uuid import UUID

from apprise import Apprise
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from tasks.errors import MatliftError
from tasks.settings import settings

NAME = "matlift"  # of the block that we save


def addressee(server: SyncPrefectClient) -> UUID | None:
    """Return the id of the block that messages go through, saved anew; None if nobody is to be told.

    Raises:
        MatliftError: the setting is neither an address that Prefect can write to nor a block that the server has.
    """
    notify = settings().notify
    if notify is None:
        return None
    text = notify.get_secret_value()
    if "://" in text:
        return cast("UUID", _block(text).save(NAME, overwrite=True))  # a coroutine in async code alone
    kind, _, name = text.partition("/")
    try:
        return server.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise MatliftError(
            "MATLIFT_NOTIFY names neither an address (https://…, mailtos://…) nor a notification block that Prefect's "
            "server has, such as slack-webhook/team"
        ) from error


def _block(url: str) -> NotificationBlock:
    """Return what writes to an address.

    Raises:
        MatliftError: nothing does.
    """
    if url.startswith(("http://", "https://")) and "hooks.slack" not in url:
        return CustomWebhookNotificationBlock(
            name=NAME,
            url="{{address}}",  # which may hold a token: kept where the dashboard does not show it
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
            secrets=SecretDict({"address": url}),
            headers=None,
            cookies=None,
        )
    if not Apprise().add(url):
        raise MatliftError("MATLIFT_NOTIFY is no address to write to: see https://github.com/caronc/apprise/wiki")
    # Slack's block hands what is not Slack's to Apprise, which knows mailboxes, too; no other block of Prefect does.
    return SlackWebhook(url=SecretStr(url))
