"""The settings as typed values: each key with its meaning, its default and its traits.

The configuration file is flat; here its keys stand in sections, so that each part of the program gets what it needs
and no more.  `load` reads the file into these, `example` writes the documented example from them.  A key's traits
stand in `Meta(extra=...)`:

    secret        its value stands in no message
    environment   the variable `CKANPACKAGER_<KEY>` goes before the file
    path          its value is or holds a path, relative to the file: directory, log, definition, definitions,
                  extension_fields or database
    url           its value is a URL
    template      its value is a template of a mail: link, failure, accepted or doi
    single_line   its value has one line
    example       every site sets it; the documented example shows this value
"""

from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta, Struct, field
from msgspec.structs import FieldInfo, fields

from ckanpackager.config import mail_templates

ASSOCIATED_MEDIA: dict[str, Any] = {
    "extension": "multimedia",
    "fields": {
        "type": "StillImage",
        "format": None,
        "identifier": None,
        "title": None,
        "license": None,
        "rightsHolder": None,
    },
}
"""What a field named associatedMedia becomes; a licence that is not told is not made up."""

Text = Annotated[str, Meta(min_length=1)]
Days = Annotated[float, Meta(gt=0, le=36500)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]  # a year: no clock or socket takes much more


class Workers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many workers may be at work at once, by queue."""

    fast: Annotated[int, Meta(ge=0, le=1000)] = 1
    slow: Annotated[int, Meta(ge=0, le=1000)] = 1


class RetryFor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many days what fails for now is retried, by what it is."""

    packaging: Days = 2
    mail: Days = 5
    statistics: Days = 5


class Receiver(Struct, frozen=True, kw_only=True):
    """The HTTP receiver"""

    secret: Annotated[
        str | None,
        Meta(
            extra={"secret": True, "environment": True, "example": "change-me"},
            description="The secret that callers must send. Without one, or with a published one, the receiver refuses "
            "to start. Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))' "
            "Also read from $CKANPACKAGER_SECRET. Use HTTPS: it travels with every request.",
        ),
    ] = None
    host: Annotated[
        Text, Meta(description="Address that `ckanpackager serve` listens on; 0.0.0.0 is every interface.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port that `ckanpackager serve` listens on.")] = 8765
    public_url: Annotated[
        str | None,
        Meta(
            extra={"url": True},
            description="URL under which callers reach the receiver, for links to job pages. Unset: no such links.",
        ),
    ] = None
    success_message: Annotated[
        str, Meta(description="What the portal may show its user when a request was accepted.")
    ] = "Your request has been accepted: the link will be sent to you by e-mail when the data is ready."
    max_request_size: Annotated[
        int, Meta(ge=1024, le=2**30, description="Largest body of a request that is read, in bytes.")
    ] = 1024 * 1024
    max_jobs_per_email: Annotated[
        Annotated[int, Meta(ge=1, le=10**9)] | None,
        Meta(description="Most open jobs for one e-mail address; a request beyond them is refused. Unset: no limit."),
    ] = None

    dashboard: Annotated[
        bool,
        Meta(
            description="GET /dashboard, a page for administrators: queues, workers, failures, statistics, and retry "
            "and cancel. The browser asks for a password: dashboard_password. false: there is no such page."
        ),
    ] = True
    dashboard_password: Annotated[
        Text | None,
        Meta(
            extra={"secret": True, "environment": True},
            description="Password of the dashboard, with any user name. Unset: the secret. Also "
            "$CKANPACKAGER_DASHBOARD_PASSWORD.",
        ),
    ] = None
    trusted_proxies: Annotated[
        list[Text],
        Meta(
            description="Proxies in front of the receiver, by address or network, as in [127.0.0.1, 10.0.0.0/8]: from "
            "them alone X-Forwarded-For is believed, which tells the client's address for the log. []: from none."
        ),
    ] = field(default_factory=list)

    def job_url(self, id: str) -> str:
        """The address of a job's page; an empty text where `public_url` is unset."""
        return f"{self.public_url}/jobs/{id}" if self.public_url else ""


class Spool(Struct, frozen=True, kw_only=True):
    """The spool and its workers"""

    spool_directory: Annotated[Text, Meta(extra={"path": "directory"}, description="Directory of the job files.")] = (
        "spool"
    )
    workers: Annotated[
        Workers,
        Meta(
            description="Worker slots by queue: a `ckanpackager process` that finds none free exits at once, so "
            "overlapping runs do not pile up."
        ),
    ] = Workers()
    slow_request: Annotated[
        int,
        Meta(
            ge=0, le=10**15, description="Requests for more rows than this, or for all of them, wait in the slow queue."
        ),
    ] = 50000
    max_attempts: Annotated[
        int, Meta(ge=1, le=10**6, description="How many workers may die while they work on a job before the job fails.")
    ] = 5
    retry_for: Annotated[
        RetryFor,
        Meta(
            description="Days during which a job is retried whose data cannot be packed for now, whose mail is not "
            "accepted for now, or which cannot be counted for now (as mail servers retry for 5 days)."
        ),
    ] = RetryFor()
    retry_delay: Annotated[
        Seconds, Meta(description="Seconds before the second attempt; doubled before each further one.")
    ] = 60
    retry_delay_max: Annotated[Seconds, Meta(description="Most seconds between two attempts.")] = 3600
    keep_done: Annotated[Days, Meta(description="Days that `ckanpackager clean` keeps finished jobs.")] = 30
    keep_failed: Annotated[Days, Meta(description="Days that `ckanpackager clean` keeps failed jobs.")] = 30


class Engine(Struct, frozen=True, kw_only=True):
    """Where archives are built

    local: by the process that holds the job. celery: on other machines, by packers (docs/scaling.md); `workers` are
    then the jobs that one `ckanpackager process` has in flight.
    """

    engine: Annotated[
        Literal["local", "celery"], Meta(description="local, or celery (pip install 'ckanpackager[celery]').")
    ] = "local"
    celery_broker: Annotated[
        Text | None,
        Meta(
            extra={"secret": True, "environment": True},
            description="The broker of engine: celery, as in redis://localhost:6379/0 or amqp://localhost. Without "
            "effect with engine: local. Also $CKANPACKAGER_CELERY_BROKER.",
        ),
    ] = None
    celery_result_backend: Annotated[
        Text | None,
        Meta(
            extra={"secret": True, "environment": True},
            description="Where packers report, as in redis://localhost:6379/1. Unset: the broker, which must be Redis "
            "then. Also $CKANPACKAGER_CELERY_RESULT_BACKEND.",
        ),
    ] = None
    packer_timeout: Annotated[
        Annotated[float, Meta(ge=1)],
        Meta(
            description="Seconds without a sign of life after which a packer that has begun a job counts as dead, and "
            "the job is sent again; one that waits for a packer is never late."
        ),
    ] = 120


class Ckan(Struct, frozen=True, kw_only=True):
    """Fetching from CKAN"""

    page_size: Annotated[
        int,
        Meta(
            ge=1,
            le=10**7,
            description="Most rows to ask for in one request. Wide rows are asked for in smaller pages, so that "
            "memory stays small, and so are slow ones: CKAN sites cut requests off after 60 seconds. CKAN grants at "
            "most 32000 unless its ckan.datastore.search.rows_max says otherwise.",
        ),
    ] = 32000
    page_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=8,
            description="Pages of one resource fetched at the same time, where rows come as text and their places "
            "are known beforehand; elsewhere one page is fetched ahead. More than 2 rarely helps.",
        ),
    ] = 2
    ckan_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of the time in which a worker may have requests under way at CKAN, from 0 to 1. Below "
            "1, it fetches one page at a time, and after each it pauses in proportion to the time that the page took: "
            "0.5 pauses as long as that, so a CKAN that slows down is left alone for longer.",
        ),
    ] = 1
    request_timeout: Annotated[
        Seconds,
        Meta(
            description="Seconds that CKAN, or the host of a file, may take for one response; for a file, seconds "
            "without a byte."
        ),
    ] = 60
    min_download_rate: Annotated[
        Annotated[float, Meta(gt=0, le=1e9)],
        Meta(description="Bytes per second below which the download of a file is ended, after request_timeout."),
    ] = 1000
    ckan_hosts: Annotated[
        list[str],
        Meta(
            description="Hosts (host, or host:port) that belong to your CKAN besides that of api_url, such as its file "
            "store: they get the API key of a request, and may have private addresses."
        ),
    ] = field(default_factory=list)
    allowed_hosts: Annotated[
        list[str] | None,
        Meta(
            description="Hosts that may be fetched from (host, or host:port), redirects included; they may have "
            "private addresses. Unset: the host of api_url, ckan_hosts, and every host with a public address."
        ),
    ] = None
    allow_private_addresses: Annotated[
        bool,
        Meta(
            description="Fetch files from private addresses (10.0.0.0/8, 127.0.0.1 and so on) of every host, too. "
            "Then each author of a dataset can have the servers of your own network fetched from."
        ),
    ] = False


class Archives(Struct, frozen=True, kw_only=True):
    """Archives"""

    store_directory: Annotated[
        Text,
        Meta(
            extra={"path": "directory"},
            description="Directory of the finished archives, the one that the web server serves.",
        ),
    ] = "store"
    store_url: Annotated[
        Text | None,
        Meta(
            description="A bucket for the finished archives instead of store_directory, as in s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix (pip install 'ckanpackager[object-store]'). Its credentials "
            "come from the environment: AWS_ACCESS_KEY_ID and the like. Without download_url the links in mails are "
            "signed, which S3 and Google do for 7 days at most."
        ),
    ] = None
    temp_directory: Annotated[
        Text | None,
        Meta(
            extra={"path": "directory"},
            description="Directory of temporary files, made where it is missing. Unset: the system's (TMPDIR or /tmp).",
        ),
    ] = None
    cache_time: Annotated[
        float,
        Meta(
            ge=0,
            le=36500 * 86400,
            description="Seconds during which the same request is served with the archive that exists already. "
            "0: each is built anew.",
        ),
    ] = 86400
    keep_archives: Annotated[Days, Meta(description="Days that `ckanpackager clean` keeps archives.")] = 7
    compression_level: Annotated[
        int,
        Meta(
            ge=0,
            le=9,
            description="0 to 3: fast (isal, where it is installed); 4 to 9: smaller, at several times the CPU (zlib).",
        ),
    ] = 2
    zip_command: Annotated[
        str | None,
        Meta(
            description="Command that zips each file, run without a shell; {input} and {output} stand for the file "
            "names, as in: /usr/bin/zip -j {output} {input} Unset: rows are zipped as they arrive, which is faster "
            "and needs no room for the file."
        ),
    ] = None
    zip_timeout: Annotated[Seconds, Meta(description="Seconds after which zip_command is stopped.")] = 3600
    include_readme: Annotated[
        bool,
        Meta(
            description="Put a README.txt behind the data: title, publisher, licence, how to cite, what was asked for, "
            "the fields. With this and include_datapackage off, an archive holds the data alone, and CKAN is not asked "
            "about the dataset."
        ),
    ] = True
    include_datapackage: Annotated[
        bool,
        Meta(
            description="Put a datapackage.json (Frictionless) behind the data: the same for programs. Darwin Core "
            "Archives have an eml.xml instead."
        ),
    ] = True
    bom: Annotated[
        bool,
        Meta(
            description="Begin CSV and TSV with a byte order mark, by which Excel knows UTF-8, unless a request says "
            "bom:false. Programs may take it for part of the first column's name."
        ),
    ] = False


class Mail(Struct, frozen=True, kw_only=True):
    """E-mail

    Placeholders of the subjects and bodies: {resource_id} {zip_file_name} {ckan_host} {doi} {doi_body} {doi_body_html}
    {download_url} (the link) {rows} {size} {expires} {job} {status_url} {error} {notes} (what the archive lacks, say)
    {title} {dataset_title} {publisher} {licence} {citation} (of the data, as the CKAN site tells them) {format} {query}
    (filters, search and the like, in words) {sha256} (of the archive) {contact} {portal_name}.
    A line is left out if all its placeholders are empty. A brace that belongs to no placeholder is written twice.
    """

    download_url: Annotated[
        str | None,
        Meta(
            extra={"url": True, "example": "https://data.example.org/downloads"},
            description="URL under which the web server serves store_directory. Required as long as a template uses "
            "{download_url}.",
        ),
    ] = None
    mail_transport: Annotated[
        Literal["smtp", "maildir"],
        Meta(description="smtp: send; maildir: write into mail_directory, for trying things out."),
    ] = "smtp"
    mail_directory: Annotated[
        Text, Meta(extra={"path": "directory"}, description="The maildir of mail_transport: maildir.")
    ] = "mail"
    smtp_host: Annotated[Text, Meta(description="Mail server.")] = "localhost"
    smtp_port: Annotated[int, Meta(ge=1, le=65535, description="Its port: 25, 587 (starttls) or 465 (tls).")] = 25
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"], Meta(description="none, starttls, or tls from the first byte.")
    ] = "none"
    smtp_login: Annotated[
        str | None,
        Meta(
            extra={"environment": True},
            description="User name, if the server wants one. Also $CKANPACKAGER_SMTP_LOGIN.",
        ),
    ] = None
    smtp_password: Annotated[
        str | None,
        Meta(
            extra={"secret": True, "environment": True}, description="Its password. Also $CKANPACKAGER_SMTP_PASSWORD."
        ),
    ] = None
    smtp_timeout: Annotated[Seconds, Meta(description="Seconds that the mail server may take to answer.")] = 30
    email_from: Annotated[
        Text,
        Meta(
            description="Sender: an address, with or without a name. It may use {ckan_host} (in the address: without "
            "its port), {resource_id}, {zip_file_name} and {doi}."
        ),
    ] = "ckanpackager <nobody@localhost>"
    email_subject: Annotated[
        Text, Meta(extra={"template": "link", "single_line": True}, description="Subject of the mail with the link.")
    ] = mail_templates.LINK_SUBJECT
    email_body: Annotated[Text, Meta(extra={"template": "link"}, description="Text of the mail with the link.")] = (
        mail_templates.LINK_BODY
    )
    email_body_html: Annotated[
        Text | None,
        Meta(
            extra={"template": "link"},
            description="The same as HTML; values are escaped. A page is put around it, unless it is one. null: no "
            "HTML part.",
        ),
    ] = mail_templates.LINK_BODY_HTML
    doi_body: Annotated[
        str,
        Meta(
            extra={"template": "doi"},
            description="Text that {doi_body} stands for in requests that name a DOI; {doi} is it.",
        ),
    ] = "The DOI for this data is {doi}: https://doi.org/{doi}"
    doi_body_html: Annotated[str, Meta(extra={"template": "doi"}, description="The same for {doi_body_html}.")] = (
        '<p>The DOI for this data is <a href="https://doi.org/{doi}">{doi}</a>.</p>'
    )
    email_failure_subject: Annotated[
        Text,
        Meta(
            extra={"template": "failure", "single_line": True},
            description="Subject of the failure mail.",
        ),
    ] = mail_templates.FAILURE_SUBJECT
    email_failure_body: Annotated[Text, Meta(extra={"template": "failure"}, description="Its text.")] = (
        mail_templates.FAILURE_BODY
    )
    email_failure_body_html: Annotated[
        Text | None, Meta(extra={"template": "failure"}, description="Its HTML; null: no HTML part.")
    ] = mail_templates.FAILURE_BODY_HTML
    email_accepted: Annotated[
        bool,
        Meta(
            description="Mail the address of the job page when a request was accepted, before anything is packaged; "
            "needs public_url. If that mail fails, the job goes on."
        ),
    ] = False
    email_accepted_subject: Annotated[
        Text, Meta(extra={"template": "accepted", "single_line": True}, description="Subject of that mail.")
    ] = mail_templates.ACCEPTED_SUBJECT
    email_accepted_body: Annotated[Text, Meta(extra={"template": "accepted"}, description="Its text.")] = (
        mail_templates.ACCEPTED_BODY
    )
    email_accepted_body_html: Annotated[
        Text | None, Meta(extra={"template": "accepted"}, description="Its HTML; null: no HTML part.")
    ] = mail_templates.ACCEPTED_BODY_HTML

    def archive_url(self, name: str) -> str:
        """The address of an archive; an empty text where `download_url` is unset."""
        return f"{self.download_url}/{quote(name)}" if self.download_url else ""


class Portal(Struct, frozen=True, kw_only=True):
    """The portal, in mails and on job pages"""

    portal_name: Annotated[Text | None, Meta(description="Its name. Unset: the host of the CKAN site.")] = None
    portal_url: Annotated[
        str | None,
        Meta(extra={"url": True}, description="Its address, where data can be requested again. Unset: no link."),
    ] = None
    portal_logo: Annotated[
        str | None, Meta(extra={"url": True}, description="Address of its logo, shown on job pages. Unset: none.")
    ] = None
    contact: Annotated[
        Text | None,
        Meta(description="Whom requesters may ask: an e-mail address, or a few words. Unset: not told."),
    ] = None


class Statistics(Struct, frozen=True, kw_only=True):
    """Statistics"""

    stats_db: Annotated[
        Text,
        Meta(
            extra={"path": "database", "secret": True, "environment": True},
            description="Database, as an SQLAlchemy URL. A database of the original can be named: it is extended in "
            "place. Also $CKANPACKAGER_STATS_DB.",
        ),
    ] = "sqlite:///stats.db"
    anonymize_emails: Annotated[
        bool, Meta(description="Store a hash of each e-mail address, and its domain, instead of the address.")
    ] = False
    anonymize_scheme: Annotated[
        Literal["keyed", "bcrypt"],
        Meta(
            description="How: keyed, by anonymize_key; or bcrypt, as the original did, so that its database goes on "
            "(pip install 'ckanpackager[bcrypt]'). bcrypt's salt is the domain: a person who has the database can try "
            "addresses."
        ),
    ] = "keyed"
    anonymize_key: Annotated[
        str | None,
        Meta(
            extra={"secret": True, "environment": True},
            description="Key of the keyed hash, which needs it; keep it: with another key the same person counts as a "
            "new one. Also $CKANPACKAGER_ANONYMIZE_KEY.",
        ),
    ] = None
    keep_statistics: Annotated[
        Days | None, Meta(description="Days that `ckanpackager clean` keeps requests and errors. Unset: for ever.")
    ] = None


class DarwinCore(Struct, frozen=True, kw_only=True):
    """Darwin Core Archives

    A definition of a core or an extension is the path of a GBIF extension XML file, or the name of one that comes with
    ckanpackager: occurrence, taxon, event; multimedia, audiovisual, measurement_or_fact, identification_history,
    resource_relationship.
    """

    dwc_id_field: Annotated[Text, Meta(description="Field whose value identifies a row within the archive.")] = "_id"
    dwc_core_extension: Annotated[
        Text | None,
        Meta(extra={"path": "definition"}, description="Definition of the core. Unset: occurrence."),
    ] = None
    dwc_additional_extensions: Annotated[
        list[Text],
        Meta(
            extra={"path": "definitions"},
            description="Definitions of extensions that take the fields which match no term of the core.",
        ),
    ] = field(default_factory=list)
    dwc_dynamic_term: Annotated[
        Text, Meta(description="Term of the core that holds, as JSON, the fields that match no term at all.")
    ] = "dynamicProperties"
    dwc_extension_fields: Annotated[
        dict[str, Any],
        Meta(
            extra={"path": "extension_fields"},
            description="Fields that hold a JSON list of objects, each object a row of an extension. For each of them: "
            "extension (its definition); fields (its terms with their defaults; null: none); and, if needed, mappings "
            "(by term, the name that it has in the objects) and formatters (by term, a text whose {} stands for the "
            "object's value). An object that lacks the name of mappings is asked for the term's own; a null stays "
            "empty. {}: no such fields. As in: {Associated Media: {extension: multimedia, fields: {type: StillImage, "
            "format: null, identifier: null}, mappings: {format: mime}, formatters: {format: 'image/{}'}}}",
        ),
    ] = field(default_factory=lambda: {"associatedMedia": ASSOCIATED_MEDIA})


class NamedPackages(Struct, frozen=True, kw_only=True):
    """Named packages, kept fresh

    Archives behind links that stay the same, <download_url>/named/<name>.zip; `ckanpackager refresh`, from cron, and
    POST /refresh build those anew whose source has changed.
    """

    named_packages: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="By name (small letters, digits, hyphens): task and its parameters, without email; refresh, "
            "how often to look (a line of cron, or a time span); only_if_changed (true unless set to false); "
            "changed_field, whose highest value tells whether rows have changed. As in: {gbif-specimens: {task: "
            "package_dwc_archive, api_url: 'https://data.example.org/api/3/action/datastore_search', resource_id: "
            "specimens, refresh: '0 3 * * *', changed_field: Modified}}"
        ),
    ] = field(default_factory=dict)


class Logging(Struct, frozen=True, kw_only=True):
    """Logging"""

    log: Annotated[
        Text | None,
        Meta(
            extra={"path": "log"},
            description="Where log lines go besides standard error (which has errors, and with -v everything): "
            "syslog, or a file. Each line has the job's id.",
        ),
    ] = None
    debug: Annotated[bool, Meta(description="Print tracebacks and log everything. Not for production.")] = False


class Settings(Struct, frozen=True, kw_only=True):
    """All sections."""

    receiver: Receiver = Receiver()
    spool: Spool = Spool()
    engine: Engine = Engine()
    ckan: Ckan = Ckan()
    archives: Archives = Archives()
    mail: Mail = Mail()
    portal: Portal = Portal()
    statistics: Statistics = Statistics()
    darwin_core: DarwinCore = DarwinCore()
    named: NamedPackages = NamedPackages()
    logging: Logging = Logging()


@cache
def keys() -> dict[str, FieldInfo]:
    """Every key of the configuration, by name."""
    return {key.name: key for section in fields(Settings) for key in fields(section.type)}


def trait(key: FieldInfo, name: str) -> Any:
    """A trait of a key; None if it has none of that name."""
    return next((meta.extra[name] for meta in key.type.__metadata__ if meta.extra and name in meta.extra), None)


def with_trait(name: str) -> dict[str, Any]:
    """The keys that have a trait, with its value."""
    return {key.name: value for key in keys().values() if (value := trait(key, name)) is not None}
