//! What membership is told of an object's status.

use serde_json::{Map, Value};

/// Cuts a status down to what is reported: `ready`, `info` where not empty, `conditions` where
/// present. `Null` where there is nothing to report: no status, an empty one, or one whose
/// `ready`, `info` or `conditions` is not of its type.
pub fn reported(status: Option<Value>) -> Value {
    let Some(Value::Object(mut status)) = status else { return Value::Null };
    cut(&mut status).unwrap_or_default()
}

fn cut(status: &mut Map<String, Value>) -> Option<Value> {
    if status.is_empty() {
        return None;
    }
    let mut field = |name| status.get_mut(name).map(Value::take).filter(|value| !value.is_null());
    let ready = field("ready").unwrap_or(Value::Bool(false));
    let info = field("info").unwrap_or_else(|| Value::String(String::new()));
    let conditions = field("conditions");
    let mut kept = Map::new();
    kept.insert("ready".into(), ready.as_bool()?.into());
    if !info.as_str()?.is_empty() {
        kept.insert("info".into(), info);
    }
    if let Some(conditions) = conditions {
        kept.insert("conditions".into(), Value::Array(conditions.as_array()?.clone()));
    }
    Some(kept.into())
}

/// Whether a reported status says that its object is ready.
pub fn is_ready(reported: &Value) -> bool {
    reported.get("ready") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_ready_info_and_conditions_and_nothing_else() {
        let status = json!({
            "ready": true, "info": "slow", "conditions": [{"type": "A"}], "debug": 1, "uri": "x",
        });
        let expected = json!({"ready": true, "info": "slow", "conditions": [{"type": "A"}]});
        assert_eq!(reported(Some(status)), expected);
    }

    #[test]
    fn ready_is_always_there_and_empty_conditions_are() {
        assert_eq!(reported(Some(json!({"uri": "x"}))), json!({"ready": false}));
        let status = json!({"ready": false, "info": "", "conditions": []});
        assert_eq!(reported(Some(status)), json!({"ready": false, "conditions": []}));
        assert_eq!(reported(Some(json!({"ready": null, "conditions": null}))), json!({"ready": false}));
    }

    #[test]
    fn nothing_is_reported_of_no_status_or_an_odd_one() {
        assert_eq!(reported(None), Value::Null);
        for odd in [
            json!(null),
            json!({}),
            json!("ready"),
            json!({"ready": "yes"}),
            json!({"ready": true, "info": 3}),
            json!({"ready": true, "conditions": {}}),
        ] {
            assert_eq!(reported(Some(odd.clone())), Value::Null, "{odd}");
        }
    }
}
