//! Every flag of the agent. Names and meanings are the Go agent's where it had them: a
//! deployment keeps its environment when it swaps the image.

use super::flag::{Flag, FlagGroup};

pub(super) const ID: Flag = Flag::one("id", "ID", "Id under which membership knows this region; required");
pub(super) const BASE_URL: Flag = Flag::one(
    "base-url",
    "URL",
    "URL under which this region's stacks are reached: stack `s` gets the Gateway host `s.<host of URL>`; required",
)
.address();
pub(super) const ADDITIONAL_BASE_URLS: Flag =
    Flag::many("additional-base-urls", "URL,...", "More URLs of this region, told to membership").address();
pub(super) const PRODUCTION: Flag =
    Flag::switch("production", "Tell membership that this region is for production");
pub(super) const OUTDATED: Flag = Flag::switch("outdated", "Tell membership that this region is outdated");

pub(super) const SERVER_ADDRESS: Flag =
    Flag::one("server-address", "HOST:PORT", "Where membership listens").or("localhost:8081").address();
pub(super) const TLS_ENABLED: Flag = Flag::switch("tls-enabled", "Speak TLS to membership");
pub(super) const TLS_INSECURE_SKIP_VERIFY: Flag =
    Flag::switch("tls-insecure-skip-verify", "Accept any certificate from membership; for tests only");
pub(super) const TLS_CA_CERT: Flag = Flag::one(
    "tls-ca-cert",
    "PEM",
    "Certificate authorities to trust for membership, as PEM text, instead of the system's",
)
// It is none, but what is put there by mistake may be.
.secret();

pub(super) const MAX_MESSAGE_BYTES: Flag = Flag::one(
    "max-message-bytes",
    "BYTES",
    "Longest message from membership, and longest line of a replay, that is read; longer ones are told and passed over",
)
.or("4194304");

pub(super) const AUTHENTICATION_MODE: Flag =
    Flag::one("authentication-mode", "MODE", "How to log in to membership: `token` or `bearer`; required");
pub(super) const AUTHENTICATION_TOKEN: Flag =
    Flag::one("authentication-token", "TOKEN", "The token of mode `token`").secret();
pub(super) const AUTHENTICATION_ISSUER: Flag =
    Flag::one("authentication-issuer", "URL", "OpenID issuer that grants the access tokens of mode `bearer`")
        .address();
pub(super) const AUTHENTICATION_CLIENT_SECRET: Flag = Flag::one(
    "authentication-client-secret",
    "SECRET",
    "Client secret of mode `bearer`; the client id is `region_<id>`",
)
.secret();

pub(super) const KUBE_CONFIG: Flag = Flag::one(
    "kube-config",
    "FILE",
    "Kubeconfig whose current context is used, instead of those that KUBECONFIG names; in a pod the service account is used",
)
.or("~/.kube/config");
pub(super) const KUBE_QPS: Flag = Flag::one(
    "kube-qps",
    "NUMBER",
    "Requests per second to the API server, for the whole process; 0 for no limit",
)
.or("200");
pub(super) const KUBE_BURST: Flag = Flag::one(
    "kube-burst",
    "NUMBER",
    "Requests that may go out at once after a pause, for the whole process; 0 for one at a time on each shard",
)
.or("400");
pub(super) const KUBE_MAX_IN_FLIGHT: Flag = Flag::one(
    "kube-max-in-flight",
    "NUMBER",
    "Requests to the API server that may wait for their answer at the same time, for the whole process",
)
.or("64");
pub(super) const KUBE_MAX_LIST_ITEMS: Flag = Flag::one(
    "kube-max-list-items",
    "NUMBER",
    "Objects of one kind that the API server may list; a kind of which it lists more counts as failed",
)
.or("2000000");
pub(super) const KUBE_REQUEST_TIMEOUT: Flag =
    Flag::one("kube-request-timeout", "DURATION", "How long to wait for an answer of the API server")
        .or("10s");

pub(super) const SHARDS: Flag = Flag::one(
    "shards",
    "NUMBER",
    "Threads that share the stacks among them, no more than each can have a part of the limits on requests and stacks [default: the cores that this process may use]",
);
pub(super) const MAX_IN_FLIGHT_STACKS: Flag = Flag::one(
    "max-in-flight-stacks",
    "NUMBER",
    "Stacks that may be worked on at the same time, for the whole process",
)
.or("256");
pub(super) const MAX_STACKS: Flag = Flag::one(
    "max-stacks",
    "NUMBER",
    "Stacks that the process knows of at most; orders for others, of which nothing is known, are refused beyond that",
)
.or("1000000");
pub(super) const RESYNC_PERIOD: Flag =
    Flag::one("resync-period", "DURATION", "How often to report again what the cluster says; 0 for never")
        .or("5m");
pub(super) const REPORT_QPS: Flag = Flag::one(
    "report-qps",
    "NUMBER",
    "How many reports a second may repeat what membership was told before; 0 for no limit. Changes go out at once",
)
.or("2000");
pub(super) const GRACE_PERIOD: Flag = Flag::one(
    "grace-period",
    "DURATION",
    "How long writes in flight may take to end after SIGTERM, SIGINT or SIGHUP; a second one exits at once",
)
.or("10s");

pub(super) const DEBUG: Flag =
    Flag::switch("debug", "Log more (RUST_LOG, where it is set, says in detail what to log)");
pub(super) const JSON_FORMATTING_LOGGER: Flag =
    Flag::switch("json-formatting-logger", "Log one JSON object per line");

pub(super) const OTEL_SERVICE_NAME: Flag =
    Flag::one("otel-service-name", "NAME", "Service name in traces").or("stackherd");
pub(super) const OTEL_RESOURCE_ATTRIBUTES: Flag = Flag::many(
    "otel-resource-attributes",
    "KEY=VALUE,...",
    "Resource attributes in traces, as OpenTelemetry writes them",
);
pub(super) const OTEL_TRACES_EXPORTER: Flag = Flag::one(
    "otel-traces-exporter",
    "EXPORTER",
    "Where traces go: `otlp`, `stdout` (or `console`) or `none`; tracing is on exactly when this is set",
);
pub(super) const OTEL_TRACES_BATCH: Flag = Flag::switch("otel-traces-batch", "Send traces in batches");
pub(super) const OTEL_TRACES_EXPORTER_OTLP_MODE: Flag = Flag::one(
    "otel-traces-exporter-otlp-mode",
    "MODE",
    "Protocol of the `otlp` exporter: `grpc` or `http` (`http/protobuf`)",
)
.or("grpc");
pub(super) const OTEL_TRACES_EXPORTER_OTLP_ENDPOINT: Flag = Flag::one(
    "otel-traces-exporter-otlp-endpoint",
    "HOST:PORT",
    "Collector of the `otlp` exporter, also as a URL; without a port 4317 (grpc) or 4318 (http)",
)
.or("localhost")
.address();
pub(super) const OTEL_TRACES_EXPORTER_OTLP_INSECURE: Flag =
    Flag::switch("otel-traces-exporter-otlp-insecure", "Speak to the collector without TLS");

/// Where the base URL of a replay leads that was given none.
pub(super) const REPLAY_URL: &str = "http://localhost";
pub(super) const REPLAY_BASE_URL: Flag =
    Flag::one("base-url", "URL", "Stack `s` gets the Gateway host `s.<host of URL>`")
        .or(REPLAY_URL)
        .address();

pub(super) const STACKS: Flag = Flag::one("stacks", "NUMBER", "How many stacks").or("500");
pub(super) const SEED: Flag =
    Flag::one("seed", "NUMBER", "What the orders are drawn from: the same seed gives the same orders")
        .or("1");
pub(super) const FORMAT: Flag =
    Flag::one("format", "FORMAT", "How the outcome is told: `text` or `json`").or("text");

const NOTHING: &str = "No effect here";
const IGNORED_FLAGS: [Flag; 13] = [
    Flag::one("authentication-client-id", "ID", "No effect here: the client id is `region_<id>`"),
    Flag::many("tag", "TAG", NOTHING),
    // It says nothing that `--debug` and RUST_LOG do not.
    Flag { default: None, ..Flag::switch("logs-enabled", NOTHING) },
    Flag::one("logs-level", "LEVEL", "No effect here: see --debug"),
    Flag::one("licence-token", "TOKEN", NOTHING).secret(),
    Flag::one("licence-validate-tick", "DURATION", NOTHING),
    Flag::one("licence-cluster-id", "ID", NOTHING),
    Flag::one("licence-issuer", "URL", NOTHING).address(),
    Flag::one("licence-expected-issuer", "URL", NOTHING).address(),
    Flag::one("otel-traces-exporter-jaeger-endpoint", "URL", NOTHING).address(),
    Flag::one("otel-traces-exporter-jaeger-user", "USER", NOTHING).secret(),
    Flag::one("otel-traces-exporter-jaeger-password", "PASSWORD", NOTHING).secret(),
    Flag { default: None, ..Flag::switch("toggle", NOTHING).short('t') },
];

/// Who the agent is.
pub const IDENTITY: FlagGroup = FlagGroup {
    heading: "This region",
    flags: &[&ID, &BASE_URL, &ADDITIONAL_BASE_URLS, &PRODUCTION, &OUTDATED],
};
/// Where membership is.
pub const MEMBERSHIP: FlagGroup = FlagGroup {
    heading: "Membership",
    flags: &[&SERVER_ADDRESS, &TLS_ENABLED, &TLS_INSECURE_SKIP_VERIFY, &TLS_CA_CERT, &MAX_MESSAGE_BYTES],
};
/// How to log in there.
pub const AUTHENTICATION: FlagGroup = FlagGroup {
    heading: "Authentication",
    flags: &[
        &AUTHENTICATION_MODE,
        &AUTHENTICATION_TOKEN,
        &AUTHENTICATION_ISSUER,
        &AUTHENTICATION_CLIENT_SECRET,
    ],
};
/// The API server and how much of it to ask for.
pub const KUBERNETES: FlagGroup = FlagGroup {
    heading: "Kubernetes",
    flags: &[
        &KUBE_CONFIG,
        &KUBE_QPS,
        &KUBE_BURST,
        &KUBE_MAX_IN_FLIGHT,
        &KUBE_REQUEST_TIMEOUT,
        &KUBE_MAX_LIST_ITEMS,
    ],
};
/// How the process works.
pub const ENGINE: FlagGroup =
    FlagGroup { heading: "Engine", flags: &[&SHARDS, &MAX_IN_FLIGHT_STACKS, &MAX_STACKS] };
/// What an agent does over time.
pub const LIFECYCLE: FlagGroup =
    FlagGroup { heading: "Lifecycle", flags: &[&RESYNC_PERIOD, &REPORT_QPS, &GRACE_PERIOD] };
/// Logs.
pub const LOGS: FlagGroup = FlagGroup { heading: "Logs", flags: &[&DEBUG, &JSON_FORMATTING_LOGGER] };
/// Traces.
pub const TRACES: FlagGroup = FlagGroup {
    heading: "Traces",
    flags: &[
        &OTEL_TRACES_EXPORTER,
        &OTEL_TRACES_BATCH,
        &OTEL_TRACES_EXPORTER_OTLP_MODE,
        &OTEL_TRACES_EXPORTER_OTLP_ENDPOINT,
        &OTEL_TRACES_EXPORTER_OTLP_INSECURE,
        &OTEL_SERVICE_NAME,
        &OTEL_RESOURCE_ATTRIBUTES,
    ],
};
/// What charts for the Go agent set and this agent has no use for.
pub const IGNORED: FlagGroup = FlagGroup {
    heading: "Accepted and ignored",
    flags: &[
        &IGNORED_FLAGS[0],
        &IGNORED_FLAGS[1],
        &IGNORED_FLAGS[2],
        &IGNORED_FLAGS[3],
        &IGNORED_FLAGS[4],
        &IGNORED_FLAGS[5],
        &IGNORED_FLAGS[6],
        &IGNORED_FLAGS[7],
        &IGNORED_FLAGS[8],
        &IGNORED_FLAGS[9],
        &IGNORED_FLAGS[10],
        &IGNORED_FLAGS[11],
        &IGNORED_FLAGS[12],
    ],
};

/// The groups of the agent's own command line, in the order of `--help`.
pub const AGENT: [FlagGroup; 9] =
    [IDENTITY, MEMBERSHIP, AUTHENTICATION, KUBERNETES, ENGINE, LIFECYCLE, LOGS, TRACES, IGNORED];

/// The groups of `replay`.
pub const REPLAY: [FlagGroup; 5] = [
    FlagGroup { heading: "Orders", flags: &[&REPLAY_BASE_URL, &MAX_MESSAGE_BYTES] },
    KUBERNETES,
    ENGINE,
    FlagGroup { heading: "Lifecycle", flags: &[&GRACE_PERIOD] },
    LOGS,
];

/// The groups of `demo`.
pub const DEMO: [FlagGroup; 3] =
    [FlagGroup { heading: "Fleet", flags: &[&STACKS, &SEED, &FORMAT] }, ENGINE, LOGS];

/// Variables without a flag that charts set: ignored. One that ends in `*` stands for all that
/// begin so.
pub const IGNORED_VARIABLES: [&str; 5] =
    ["OTEL_TRACES", "OTEL_TRACES_ENDPOINT", "OTEL_TRACES_PORT", "OTEL_METRICS*", "POD_NAME"];
