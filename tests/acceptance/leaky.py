"""A flow that tells its secrets wherever it can, and the words by which they would be found."""

from __future__ import annotations

LEAKY = """
import logging
import sys
from flowbook import LinearFlow, current, task
from flowbook.secrets import Secret


@task(provides="token")
def ask(password, pin):
    print("asking with", password, password.reveal())
    sys.stderr.write(f"pin {pin.reveal()}\\n")
    return Secret("canary-sealed-" + password.reveal()[-4:])


@task(provides="kept")
def keep(token, password, address):
    logging.getLogger("mine").error("token %s", token.reveal())
    current().annotate(step=f"connect to {address} with {token.reveal()}", seen=[password.reveal()])
    return {"token": token, "all": [token, password], "address": address}


class Refused(Exception):
    pass


def spill(token, password, pin):
    try:
        raise KeyError(password.reveal(), {"pin": [pin.reveal().encode()]})
    except KeyError as error:
        raise Refused(f"{token.reveal()} at db://me:canary-in-text@host/x?token=canary-option", token) from error


@task
def fail(token, password, pin, kept):
    spill(token, password, pin)


flow = LinearFlow("leaky").add(ask, keep)
failing = LinearFlow("failing").add(ask, keep, fail)
"""

ENV, FILE = "canary-env-xq7z", 'canary-file-"xq8z"/x'
FOUND = ("canary-", "xq7z", "xq8z")
"""Parts of every canary; none of them stands in what is not one."""

SECRETS = ("--secret", "password=env:SHOP_PASSWORD", "--secret", "pin=file:../pin")
ADDRESS = ("--store", "address=postgresql://me:canary-stored@host/db")
