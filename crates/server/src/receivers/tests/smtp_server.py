"""A mail server (aiosmtpd) that does with a message what the address says, and prints what it took as a line of JSON."""

import asyncio
import json

from aiosmtpd.smtp import SMTP, AuthResult

ACCOUNT = (b"user", b"CanaryBirdSings")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        answers = {"refused": "550 5.1.1 no such user", "greylisted": "451 4.7.1 greylisted"}
        answer = answers.get(address.split("@")[0])
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        act = envelope.rcpt_tos[0].split("@")[0]
        if act == "spam":
            return "554 5.7.1 looks like spam to CanaryBirdSings"
        if act == "full":
            return "452 4.2.2 mailbox full"
        if act == "silent":
            await asyncio.sleep(3600)
        if act == "gone":
            server.transport.abort()
            return "250 OK"
        print(json.dumps({"to": envelope.rcpt_tos, "mail": envelope.content.decode("ascii")}), flush=True)
        return "250 OK queued as 7"


def authenticate(server, session, envelope, mechanism, data):
    success = (data.login, data.password) == ACCOUNT
    # Says the password, as no server should.
    message = None if success else "535 5.7.8 not " + data.password.decode()
    return AuthResult(success=success, handled=success, message=message)


async def main():
    def server(**options):
        return lambda: SMTP(Handler(), hostname="test", **options)

    loop = asyncio.get_running_loop()
    account = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
    servers = [await loop.create_server(server(**options), "127.0.0.1", 0) for options in ({}, account)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
