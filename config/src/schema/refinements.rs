// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the types do not tell: defaults, patterns, bounds. The tests hold each against the parser.

/// A dotted key, `[]` for the items of a list and `*` for the values of a table with free keys, and what to add there.
pub(super) type Refinement = (&'static str, &'static str);

/// Of a container's file.
pub(super) const CONTAINER: &[Refinement] = &[
    ("runtime", r#"{ "default": "crun" }"#),
    ("user", r#"{ "default": "root" }"#),
    ("slice", r#"{ "default": "ct.slice", "pattern": "^[A-Za-z0-9:_.\\\\-]+\\.slice$" }"#),
    ("pod", r#"{ "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$" }"#),
    ("hostname", r#"{ "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$", "maxLength": 64 }"#),
    // The latest file chooses one of them; a file with two is never right.
    (
        "root",
        r#"{ "not": { "anyOf": [
            { "required": ["path", "layers"] }, { "required": ["path", "bundle"] }, { "required": ["layers", "bundle"] }
        ] } }"#,
    ),
    ("root.path", r#"{ "pattern": "^/" }"#),
    ("root.layers", r#"{ "minItems": 1, "maxItems": 500, "uniqueItems": true }"#),
    ("root.layers.[]", r#"{ "pattern": "^(/|[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$)" }"#),
    ("root.bundle", r#"{ "pattern": "^/" }"#),
    ("root.idmap", r#"{ "default": false }"#),
    ("root.lxcfs", r#"{ "default": "no" }"#),
    ("process.command", r#"{ "default": ["/sbin/init"], "minItems": 1 }"#),
    ("process.cwd", r#"{ "default": "/", "pattern": "^/" }"#),
    ("process.env", r#"{ "propertyNames": { "pattern": "^[^=]+$" } }"#),
    ("process.env_file.[]", r#"{ "pattern": "^-?/" }"#),
    ("process.terminal", r#"{ "default": false }"#),
    ("process.stdin_open", r#"{ "default": false }"#),
    ("process.init", r#"{ "default": false }"#),
    ("log.mode", r#"{ "default": "journal" }"#),
    ("idmap", r#"{ "dependencies": { "uid": ["gid"], "gid": ["uid"] } }"#),
    ("mount", r#"{ "maxItems": 1000 }"#),
    ("mount.[]", r#"{ "required": ["target"] }"#),
    ("mount.[].target", r#"{ "pattern": "^/" }"#),
    ("mount.[].type", r#"{ "pattern": "^[A-Za-z0-9_.-]+$" }"#),
    ("mount.[].options.[]", r#"{ "minLength": 1 }"#),
    ("oom.score_adjust", r#"{ "minimum": -1000, "maximum": 1000 }"#),
    ("autostart.enabled", r#"{ "default": false }"#),
    ("autostart.priority", r#"{ "default": 1000, "minimum": -2147483648, "maximum": 2147483647 }"#),
    ("autostart.delay", r#"{ "default": "0s", "minimum": 0 }"#),
    ("ready.interval", r#"{ "default": "250ms", "minimum": 1 }"#),
    ("ready.command_timeout", r#"{ "default": "10s", "minimum": 0 }"#),
    ("ready.notify", r#"{ "default": false }"#),
    ("ready.watchdog", r#"{ "minimum": 1 }"#),
    ("ready.timeout", r#"{ "default": "90s", "minimum": 0 }"#),
    ("stop.signal", r#"{ "minimum": 1, "maximum": 64 }"#),
    ("stop.timeout", r#"{ "minimum": 0 }"#),
    ("stop.command_timeout", r#"{ "default": "10s", "minimum": 0 }"#),
    ("restart.policy", r#"{ "default": "no" }"#),
    ("restart.delay", r#"{ "default": "100ms", "minimum": 0 }"#),
    ("restart.start_limit_burst", r#"{ "minimum": 0, "maximum": 4294967295 }"#),
    ("restart.start_limit_interval", r#"{ "minimum": 0 }"#),
    ("hooks.pre_start.[]", r#"{ "minItems": 1 }"#),
    ("hooks.post_start.[]", r#"{ "minItems": 1 }"#),
    ("hooks.pre_stop.[]", r#"{ "minItems": 1 }"#),
    ("hooks.post_stop.[]", r#"{ "minItems": 1 }"#),
    ("hooks.timeout", r#"{ "default": "30s", "minimum": 1 }"#),
    ("network.mode", r#"{ "default": "none", "pattern": "^(none|host|ns:/.*)$" }"#),
    ("security.capabilities.add.[]", r#"{ "pattern": "^[A-Za-z_]+$" }"#),
    ("security.capabilities.drop.[]", r#"{ "pattern": "^[A-Za-z_]+$" }"#),
    ("security.no_new_privileges", r#"{ "default": true }"#),
    ("security.seccomp", r#"{ "default": "default", "pattern": "^(default|unconfined|/.*)$" }"#),
    ("security.devices.[]", r#"{ "pattern": "^/dev/[^:]+(:/dev/[^:]+)?(:[rwm]{1,3})?$" }"#),
];

/// Of a pod's file.
pub(super) const POD: &[Refinement] = &[
    ("user", r#"{ "default": "root" }"#),
    ("hostname", r#"{ "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$", "maxLength": 64 }"#),
    ("idmap", r#"{ "dependencies": { "uid": ["gid"], "gid": ["uid"] } }"#),
    ("share", r#"{ "default": ["net", "ipc", "uts"] }"#),
    ("share.[]", r#"{ "enum": ["net", "ipc", "uts"] }"#),
    ("network.mode", r#"{ "default": "none", "pattern": "^(none|host|ns:/.*)$" }"#),
];

/// Of the host's settings.
pub(super) const HOST: &[Refinement] = &[
    ("autostart.parallel", r#"{ "default": "auto", "minimum": 0 }"#),
    ("runtimes", r#"{ "propertyNames": { "pattern": "^[A-Za-z0-9_.-]+$" } }"#),
];
