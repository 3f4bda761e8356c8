"""A mail server for the tests: TLS, a login, and each mail as a file.

mail.py DIRECTORY HOST SMTPS_PORT STARTTLS_PORT

Makes an authority (ca.pem) and a certificate for HOST and localhost in DIRECTORY. On the first port TLS comes from the
beginning, on the second with STARTTLS, without which nothing is taken. The user is redkeep, the password mail-password.
"""

import asyncio
import datetime
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

directory, host = pathlib.Path(sys.argv[1]), sys.argv[2]
ports = [int(port) for port in sys.argv[3:5]]


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, is_authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if not is_authority:
        names = [x509.DNSName(one) for one in {host, "localhost"}]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def pem(path, *parts):
    path.write_bytes(b"".join(parts))


def context():
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = certificate("authority", authority_key, "authority", authority_key, True)
    own = certificate(host, key, "authority", authority_key, False)
    text = lambda one: one.public_bytes(serialization.Encoding.PEM)
    pem(directory / "ca.pem", text(authority))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem(directory / "own.pem", text(own), private)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory / "own.pem")
    return made


class Keeper:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        Keeper.count += 1
        path = directory / f"mail-{Keeper.count}"
        lines = [f"MAIL FROM {envelope.mail_from}", *(f"RCPT TO {to}" for to in envelope.rcpt_tos)]
        is_wrapped = server.transport.get_extra_info("ssl_object") is not None
        lines.append(f"TLS {is_wrapped} LOGIN {session.authenticated}")
        text = "\n".join(lines).encode() + b"\n\n" + envelope.content
        path.with_suffix(".part").write_bytes(text)
        path.with_suffix(".part").rename(path)
        return "250 kept"


def login(server, session, envelope, mechanism, data):
    is_right = (data.login, data.password) == (b"redkeep", b"mail-password")
    return AuthResult(success=is_right)


tls = context()
rules = {"authenticator": login, "auth_required": True, "hostname": host}


async def serve():
    loop = asyncio.get_running_loop()
    wrapped = lambda: SMTP(Keeper(), auth_require_tls=False, **rules)
    upgraded = lambda: SMTP(Keeper(), tls_context=tls, require_starttls=True, **rules)
    await loop.create_server(wrapped, "0.0.0.0", ports[0], ssl=tls)
    await loop.create_server(upgraded, "0.0.0.0", ports[1])
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(serve())
