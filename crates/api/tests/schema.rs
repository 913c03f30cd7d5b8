//! The OpenAPI schemas say what the parsers do.

use serde_json::{Value, json};
use tollgate_api::{
    AcquireAnswer, AcquireManyAnswer, AcquireManyRequest, AcquireRequest, AddNodeRequest, ClusterAnswer, Health,
    LimitDocument, LimitList, NodeAnswer, Problem, SettleRequest, ShardAnswer, SilenceRequest, StatsAnswer,
    TestAlertRequest, TierDocument,
};
use utoipa::{PartialSchema, ToSchema};

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("schemas are JSON")
}

fn property<T: PartialSchema>(pointer: &str) -> Value {
    schema::<T>().pointer(&format!("/properties/{pointer}")).cloned().unwrap_or_default()
}

#[test]
fn what_is_read_strictly_allows_no_other_fields() {
    for schema in [
        schema::<AcquireRequest>(),
        schema::<AcquireManyRequest>(),
        schema::<SettleRequest>(),
        schema::<AddNodeRequest>(),
        schema::<SilenceRequest>(),
        schema::<TestAlertRequest>(),
        schema::<LimitDocument>(),
        schema::<TierDocument>(),
    ] {
        assert_eq!(schema["additionalProperties"], json!(false), "{schema}");
    }
}

#[test]
fn fields_without_a_default_are_required() {
    for (schema, required) in [
        (schema::<AcquireRequest>(), json!(["endpoint"])),
        (schema::<AcquireManyRequest>(), json!(["requests"])),
        (schema::<SettleRequest>(), json!(["reservation", "actual"])),
        (schema::<AddNodeRequest>(), json!(["id", "peer"])),
        (schema::<SilenceRequest>(), json!(["matchers", "author"])),
        (schema::<TestAlertRequest>(), json!(["receiver"])),
        (schema::<LimitDocument>(), Value::Null),
        (schema::<TierDocument>(), json!(["requests_per_minute"])),
    ] {
        assert_eq!(schema.get("required").cloned().unwrap_or_default(), required, "{schema}");
    }
}

#[test]
fn sizes_are_stated() {
    for (found, expected) in [
        (property::<AcquireRequest>("prefix/pattern"), json!("^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")),
        (property::<AcquireRequest>("prefix/default"), json!("app")),
        (property::<AcquireRequest>("endpoint/pattern"), json!("^[A-Za-z0-9._/-]{1,128}$")),
        (property::<AcquireRequest>("cost/default"), json!(1)),
        (property::<AcquireRequest>("cost/minimum"), json!(0)),
        (property::<AcquireRequest>("wait_ms/maximum"), json!(600_000)),
        (property::<AcquireRequest>("labels/maxProperties"), json!(16)),
        (property::<AcquireRequest>("labels/propertyNames/pattern"), json!("^[A-Za-z0-9_.-]{1,64}$")),
        (property::<AcquireRequest>("labels/additionalProperties/maxLength"), json!(256)),
        (property::<AcquireManyRequest>("requests/maxItems"), json!(1000)),
        (property::<AddNodeRequest>("id/minimum"), json!(1)),
        (property::<LimitDocument>("rate/type"), json!("integer")),
        (property::<LimitDocument>("match/type"), json!("object")),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn null_is_stated_only_where_it_is_said() {
    assert_eq!(property::<AcquireAnswer>("remaining/type"), json!(["integer", "null"]));
    assert!(schema::<AcquireAnswer>()["required"].as_array().is_some_and(|all| all.contains(&json!("remaining"))));
    assert_eq!(property::<Problem>("type/type"), json!("string"));
    for (found, null) in [
        (schema::<NodeAnswer>(), ("http", json!(["string", "null"]))),
        (schema::<ShardAnswer>(), ("leader", json!(["integer", "null"]))),
        (schema::<StatsAnswer>(), ("endpoint", json!(["string", "null"]))),
    ] {
        let (name, kind) = null;
        assert_eq!(found["properties"][name]["type"], kind);
        assert!(found["required"].as_array().is_some_and(|all| all.contains(&json!(name))), "{found}");
    }
}

/// The names of all schemas that an OpenAPI document with `T` in it declares, and the references among them.
fn names_and_references<T: ToSchema>() -> (Vec<String>, Vec<String>) {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    schemas.push((T::name().into_owned(), T::schema()));
    let text = serde_json::to_string(&schemas).expect("schemas are JSON");
    let references = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
    (schemas.iter().map(|(name, _)| name.clone()).collect(), references.map(str::to_owned).collect())
}

#[test]
fn every_reference_is_declared() {
    for (names, references) in [
        names_and_references::<AcquireManyAnswer>(),
        names_and_references::<AcquireManyRequest>(),
        names_and_references::<LimitList>(),
        names_and_references::<Health>(),
        names_and_references::<ClusterAnswer>(),
        names_and_references::<StatsAnswer>(),
    ] {
        assert!(!references.is_empty());
        assert!(references.iter().all(|name| names.contains(name)), "{references:?} in {names:?}");
    }
}
