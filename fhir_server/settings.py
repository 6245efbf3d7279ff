"""Every setting of the server, once, with its default; read from the environment as `CSOR_<NAME>`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The server's settings; each is an environment variable, as CSOR_FHIR_PORT."""

    model_config = SettingsConfigDict(env_prefix="CSOR_", frozen=True)

    database: Annotated[str, BeforeValidator(str)] = Field(
        default="csor.db",
        description=(
            "The SQLite file, which is created; or a PostgreSQL database, as "
            "postgresql://csor@host/csor. It is migrated when the server starts."
        ),
    )
    fhir_host: str = Field(default="127.0.0.1", description="Address of the FHIR endpoint.")
    fhir_port: int = Field(default=8000, ge=1, description="Port of the FHIR endpoint.")
    tls_certificate: Path | None = Field(
        default=None,
        description=(
            "PEM file of the certificate (with its chain) of the HTTP doors, which speak TLS 1.2 and later "
            "then; SIGHUP has it read anew. Without it they speak plain HTTP."
        ),
    )
    tls_key: Path | None = Field(
        default=None,
        description="PEM file of the certificate's key, readable by the server's account alone.",
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description=(
            "PEM file of the authorities by which every caller must show a certificate; who it is, its "
            "token says."
        ),
    )
    base_url: str | None = Field(
        default=None,
        description="Public base URL, as https://registry.example/fhir; by default the address served.",
    )
    mllp_host: str = Field(default="127.0.0.1", description="Address of the MLLP listener.")
    mllp_port: int = Field(default=2575, ge=1, description="Port of the MLLP listener.")
    mllp: bool = Field(default=True, description="Whether HL7 v2 messages are listened for.")
    mappings: Path | None = Field(
        default=None,
        description=(
            "Folder of the operator's own mapping tables, site files and ConceptMaps for HL7 v2: see "
            "docs/mapping-guide.md. A fault in it stops the server at start."
        ),
    )
    hl7v2_senders: Path | None = Field(
        default=None,
        description=(
            "TOML file of the connections that may send HL7 v2, the hospitals that each may speak "
            "for, and the MLLP listeners; without it, this machine alone, for any hospital."
        ),
    )
    clients: Path | None = Field(
        default=None,
        description=(
            "TOML file of the clients that may call from elsewhere than this machine: see "
            "docs/clients.md."
        ),
    )
    sandbox: bool = Field(
        default=False,
        description=(
            "Whether vendors register themselves: with the database of `python -m fhir_server sandbox` "
            "alone, which is not served otherwise. See docs/sandbox.md."
        ),
    )
    jwks_private_hosts: str = Field(
        default="",
        description=(
            "Hosts, separated by commas, from which the keys of clients (jwks_url) may be fetched, and at "
            "which identity providers may be asked, though they have private addresses: see "
            "docs/clients.md."
        ),
    )
    signing_key: Path | None = Field(
        default=None,
        description=(
            "PEM file of the keys (EC P-384) that sign documents: the first signs, the others verify "
            "what was signed before. By default `<database file>.signing.pem`, with PostgreSQL "
            "`csor.signing.pem`; made where it is not there."
        ),
    )
    pseudonym_key: Path | None = Field(
        default=None,
        description=(
            "File of the secrets by which analysts are shown pseudonyms; made where it is not there. "
            "Without it there is no role of analyst: see docs/analysts.md."
        ),
    )
    pseudonym_policy: Path | None = Field(
        default=None,
        description=(
            "TOML file that says how far dates are shifted, and what of birth dates and postcodes "
            "analysts are shown. Without it there is no role of analyst: see docs/analysts.md."
        ),
    )
    epr_servers: Path | None = Field(
        default=None,
        description=(
            "TOML file of the hospitals' EPRs that may launch the pages of the registry by SMART: see "
            "docs/smart.md. Without it, none."
        ),
    )
    identity_providers: Path | None = Field(
        default=None,
        description=(
            "TOML file of the identity providers (OpenID Connect) by which people sign in, and of their "
            "roles: see docs/people.md. Without it, nobody does."
        ),
    )
    session_idle_minutes: float = Field(
        default=30.0,
        gt=0,
        le=24 * 60,
        description="Minutes after which a session of a person or a surgeon ends that is not used.",
    )
    session_hours: float = Field(
        default=12.0,
        gt=0,
        le=24,
        description=(
            "Hours after which a session of a person or a surgeon ends, used or not, with all that was "
            "granted to apps in it."
        ),
    )
    demo: bool = Field(
        default=False,
        description=(
            "Set by `make demo` alone: fictitious people sign in, and nobody is checked. The server does "
            "not start with it but on 127.0.0.1, nor beside CSOR_IDENTITY_PROVIDERS."
        ),
    )
    epr_origins: str | None = Field(
        default=None,
        description="Origins, separated by commas, that may show the registry's pages in a frame.",
    )
    surveys: Path | None = Field(
        default=None,
        description=(
            "TOML file of the time points at which parents are asked: see docs/surveys.md. Without it "
            "no survey is scheduled."
        ),
    )
    survey_sender: Literal["off", "file", "smtp", "http"] = Field(
        default="off",
        description=(
            "How messages reach parents: email (smtp), text messages (http), or into a folder (file)."
        ),
    )
    survey_sender_file: Path | None = Field(
        default=None,
        description="TOML file that says where and how the survey sender sends: see docs/surveys.md.",
    )
    suppression_key: Path | None = Field(
        default=None,
        description=(
            "File of the key by which children who were erased are known again: see docs/consent.md. By "
            "default `<database file>.suppression.key`, with PostgreSQL `csor.suppression.key`; made by "
            "the first erasure."
        ),
    )
    opt_outs: Path | None = Field(
        default=None,
        description=(
            "TOML file that says what a national data opt-out is an objection to here: see "
            "docs/consent.md. Without it no list of opt-outs is gone by."
        ),
    )
    quality_of_life: Path | None = Field(
        default=None,
        description=(
            "JSON file of your licensed quality-of-life module, a Questionnaire that takes the place of "
            "the placeholder in the parent surveys: see docs/surveys.md."
        ),
    )
    parameters: Path | None = Field(
        default=None,
        description=(
            "Folder of signed parameter files that measures need: see docs/parameters.md. A measure "
            "whose file is not there, or is refused, is not computed; the others are."
        ),
    )
    signatories: Path | None = Field(
        default=None,
        description=(
            "JSON file (JWKS) of those who may sign parameter files: see docs/parameters.md. Without "
            "it, nobody may."
        ),
    )
    cors_origins: str | None = Field(
        default=None,
        description="Origins, separated by commas, whose pages a browser lets call; * is any.",
    )
    pages: Path | None = Field(
        default=None,
        description=(
            "Folder of built pages to serve beside /fhir; by default the one that `make web` fills."
        ),
    )
    update_create: bool = Field(
        default=True,
        description="Whether an update of an id that is not known creates the resource.",
    )
    default_profiles: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description=(
            "Profiles that every resource of a type must keep, whatever its meta.profile says; as "
            '{"Patient": ["https://csor.example/fhir/StructureDefinition/csor-patient"]}.'
        ),
    )
    nhs_number_severity: Literal["error", "warning", "off"] = Field(
        default="error",
        description="What a wrong check digit of an NHS or CHI number is; an error refuses the write.",
    )
    max_body: int = Field(
        default=32 * 1024 * 1024, gt=0, description="Largest request body or HL7 frame, in bytes."
    )
    max_url: int = Field(
        default=512 * 1024,
        gt=0,
        description="Longest URL of a request, in bytes; longer ones are 414.",
    )
    max_headers: int = Field(
        default=64 * 1024,
        gt=0,
        description="Most bytes of a request's headers together; longer ones are 431.",
    )
    request_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds within which all of a request must have arrived, else it is 408.",
    )
    query_seconds: float = Field(
        default=30.0,
        gt=0,
        description=(
            "Seconds that one query of the database may take for a request, which is answered 503 then."
        ),
    )
    max_entries: int = Field(
        default=5000, gt=0, description="Most entries that one Bundle may have."
    )
    rate_limit: float = Field(
        default=1000.0,
        gt=0,
        description=(
            "Requests a second that each client may send at each door, and messages that each sender of "
            "MLLP may; ten seconds' of them may come at once. A program on this machine is not limited."
        ),
    )
    rate_limit_unknown: float = Field(
        default=200.0,
        gt=0,
        description=(
            "Requests a second from one address that nobody is known by: `/fhir/metadata`, the pages, wrong "
            "tokens. What comes by a proxy counts as one address."
        ),
    )
    rate_limit_sign_in: float = Field(
        default=10.0,
        gt=0,
        description=(
            "Requests a second from one address by which somebody gets in: `/sign-in`, `/launch`, "
            "`/authorize`, `/apps`, `/token` and what is beside them; counted as the others are."
        ),
    )
    refusals_quota: int = Field(
        default=1024**3,
        gt=0,
        description=(
            "Bytes of refused FHIR writes that are kept of one client until they are sent right or "
            "dismissed; beyond them a refusal says that it is not kept."
        ),
    )
    subscriptions: bool = Field(
        default=True,
        description="Whether subscribers are notified; of several servers of one database, by one.",
    )
    subscription_endpoints: str = Field(
        default="",
        description=(
            "URLs that subscribers may be notified at, and below: separated by commas. Where none is "
            "given, endpoints on this machine, as long as the server itself is served to it alone."
        ),
    )
    subscription_attempts: int = Field(
        default=10, gt=0, description="How often a notification is tried before it is given up."
    )
    subscription_delay: float = Field(
        default=1.0,
        gt=0,
        description="Seconds before the second attempt; twice as long before each one after.",
    )
    subscription_longest_delay: float = Field(
        default=600.0, gt=0, description="Most seconds between two attempts."
    )
    subscription_dead_letters: int = Field(
        default=5,
        gt=0,
        description="How many notifications given up in a row put a Subscription in status error.",
    )
    outcomes: bool = Field(
        default=True,
        description=(
            "Whether the outcomes of all children are kept up to date, and stored summaries marked when "
            "they are no longer current; of several servers of one database, by one."
        ),
    )
    audit_journal: Path | None = Field(
        default=None,
        description=(
            "Folder on a local disk in which an access is written down before it is answered, until the "
            "database has it; by default `<database file>.journal`, with PostgreSQL `csor.journal`."
        ),
    )
    bulk_folder: Path | None = Field(
        default=None,
        description=(
            "Folder of the files of bulk exports and imports; by default `<database file>.bulk`, with "
            "PostgreSQL `csor.bulk`. What it holds is patients' data."
        ),
    )
    bulk_hours: int = Field(
        default=24,
        gt=0,
        description="Hours after which a finished bulk job and its files are removed.",
    )
    import_folder: Path | None = Field(
        default=None,
        description="Folder below which `$import` may read `file://` URLs; without it, none is read.",
    )

    @property
    def journals(self) -> Path:
        """The folder of the audit's journals: the operator's, or one beside the database."""
        beside = "csor" if "://" in self.database else self.database
        return self.audit_journal or Path(f"{beside}.journal")
