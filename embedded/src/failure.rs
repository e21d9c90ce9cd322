//! Why the API server says no: the `Status` object of a failed request, in the words of the real one.

use std::fmt;

use serde_json::{Value, json};

use super::kind::ServedKind;

/// One field's fault in a 422.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueTypeInvalid`, ...
    pub reason: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// Path of the field.
    pub field: String,
}

impl Cause {
    /// A value that will not do.
    pub fn invalid(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value:?}: {detail}"),
            field: field.into(),
        }
    }

    /// A field that is missing.
    pub fn required(field: impl Into<String>) -> Self {
        Self { reason: "FieldValueRequired", message: "Required value".into(), field: field.into() }
    }

    /// A change that is not allowed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {detail}"), field: field.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code} {reason})")]
pub struct ApiFailure {
    /// HTTP status.
    pub code: u16,
    /// The Status' reason; empty where the real server gives none.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The Status' `details`; `Null` where there are none.
    pub details: Value,
    /// A list that expired names the token to go on with.
    pub next: Option<String>,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// The path names no kind: text instead of a Status.
    pub plain: bool,
}

impl ApiFailure {
    /// A failure without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
            next: None,
            retry_after: None,
            plain: false,
        }
    }

    fn about(mut self, kind: &ServedKind, resource: &str, name: &str) -> Self {
        let mut details = json!({ "group": kind.group, "kind": resource });
        if !name.is_empty() {
            details["name"] = name.into();
        }
        self.details = details;
        self
    }

    /// 400
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404 of the kind: there is nothing at this path.
    pub fn no_such_path() -> Self {
        Self { plain: true, ..Self::new(404, "NotFound", "404 page not found") }
    }

    /// 404 of the object.
    pub fn not_found(kind: &ServedKind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.full_name())).about(
            kind,
            &kind.plural,
            name,
        )
    }

    /// 409 on a create.
    pub fn already_exists(kind: &ServedKind, name: &str, terminating: bool) -> Self {
        let prefix = if terminating { "object is being deleted: " } else { "" };
        Self::new(409, "AlreadyExists", format!("{prefix}{} {name:?} already exists", kind.full_name()))
            .about(kind, &kind.plural, name)
    }

    /// 409 on an update whose resourceVersion is not the object's.
    pub fn modified(kind: &ServedKind, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: the object has been modified; \
             please apply your changes to the latest version and try again",
            kind.full_name()
        );
        Self::new(409, "Conflict", message).about(kind, &kind.plural, name)
    }

    /// 409 on a delete whose precondition does not hold.
    pub fn precondition(kind: &ServedKind, name: &str, detail: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {}.{} {name:?}: {detail}", kind.kind, kind.group);
        Self::new(409, "Conflict", message).about(kind, &kind.kind, name)
    }

    /// 422; `resource` is the kind's name as the message has it.
    pub fn invalid(kind: &ServedKind, resource: &str, name: &str, causes: &[Cause]) -> Self {
        let mut listed: Vec<String> = causes.iter().map(ToString::to_string).collect();
        listed.dedup();
        let list = match listed.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{resource}.{} {name:?} is invalid: {list}", kind.group);
        let mut failure = Self::new(422, "Invalid", message).about(kind, resource, name);
        failure.details["causes"] = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field }))
            .collect();
        failure
    }

    /// 410: the history does not go back that far.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Some(next) = &self.next {
            status["metadata"]["continue"] = next.as_str().into();
        }
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        if let Some(seconds) = self.retry_after {
            status["details"]["retryAfterSeconds"] = seconds.into();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::stack_kind;

    #[test]
    fn one_cause_stands_without_brackets_and_many_with() {
        let kind = stack_kind();
        let one = ApiFailure::invalid(&kind, "Stack", "a", &[Cause::required("spec.id")]);
        assert_eq!(one.message, r#"Stack.formance.com "a" is invalid: spec.id: Required value"#);
        let causes = [Cause::required("spec.a"), Cause::required("spec.b")];
        let two = ApiFailure::invalid(&kind, "Stack", "a", &causes);
        assert!(two.message.ends_with("[spec.a: Required value, spec.b: Required value]"), "{two}");
        assert_eq!(two.details["causes"][1]["field"], "spec.b");
    }

    #[test]
    fn a_missing_object_is_named_with_group_and_plural() {
        let status = ApiFailure::not_found(&stack_kind(), "nope").status();
        assert_eq!(status["message"], r#"stacks.formance.com "nope" not found"#);
        assert_eq!(status["details"], json!({"name": "nope", "group": "formance.com", "kind": "stacks"}));
    }
}
