//! Describes the port in OpenAPI, from the descriptors of the contract and their comments.
//!
//! The description is committed as `docs/openapi.json`, which the port serves. The test below holds
//! it equal to the contract, so the program doesn't hold this code.

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor,
};
use serde_json::{Map, Value, json};

use crate::pb;

/// The committed description.
const COMMITTED: &str = include_str!("../../docs/openapi.json");
const SERVICE: &str = "facematch.v1.FaceMatch";
/// The place of comments that precede a whole file, in its source code information: at its syntax.
const SYNTAX_PATH: [i32; 1] = [12];
/// The schema of errors.
const ERROR: &str = "Error";

#[test]
fn the_committed_description_is_that_of_the_contract() {
    let description = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    if COMMITTED != description {
        let path = std::env::temp_dir().join("facematch-openapi.json");
        std::fs::write(&path, &description).unwrap();
        panic!("docs/openapi.json differs from the contract: copy {}", path.display());
    }
}

#[test]
fn every_reference_has_its_schema() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    for (name, schema) in schemas {
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

/// The whole description.
fn description() -> Value {
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name(SERVICE).unwrap();
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for method in service.methods() {
        let path = format!("/{SERVICE}/{}", method.name());
        paths.insert(path, operations(&method, &mut schemas));
    }
    schemas.0.insert(ERROR.to_owned(), error());
    let file = service.parent_file();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FaceMatch",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": comment(&file, service.path()).lines().next(),
            "description": comment(&file, &SYNTAX_PATH),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "the port --web-listen" }],
        "security": [{}, { "bearer": [] }],
        "tags": [{ "name": "FaceMatch", "description": comment(&file, service.path()) }],
        "paths": paths,
        "components": {
            "schemas": schemas.0,
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key or a token, where the server has a callers file.",
            } },
        },
    })
}

fn operations(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let text = comment(&method.parent_file(), method.path());
    let first = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let summary = first.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
    let operation = |suffix: &str| {
        json!({
            "operationId": format!("{}{suffix}", method.name()),
            "tags": ["FaceMatch"],
            "summary": summary,
            "description": text,
        })
    };
    let responses = responses(method, schemas);
    let mut post = operation("");
    post["requestBody"] = json!({
        "required": true,
        "content": { "application/json": { "schema": schemas.message(&method.input()) } },
    });
    post["responses"] = responses.clone();
    let mut all = json!({ "post": post });
    if method.name().starts_with("Watch") {
        let mut get = operation("Events");
        let mut parameters: Vec<_> =
            method.input().fields().map(|field| parameter(&field, schemas)).collect();
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The id of the last event that was seen: the stream goes on after it.",
            "schema": { "type": "string" },
        }));
        get["parameters"] = parameters.into();
        get["responses"] = responses;
        all["get"] = get;
    }
    all
}

fn responses(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let schema = schemas.message(&method.output());
    let answer = match method.is_server_streaming() {
        false => json!({
            "description": "The answer.",
            "content": { "application/json": { "schema": schema } },
        }),
        true => json!({
            "description": "Server-sent events: the data of each is an update. The last one is \
                            `end`, with an empty object, or `error`, with an error.",
            "content": { "text/event-stream": { "schema": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": schema,
            } } },
        }),
    };
    let error = json!({
        "description": "The call was refused.",
        "content": { "application/json": { "schema": reference(ERROR) } },
    });
    json!({ "200": answer, "4XX": error, "5XX": error })
}

fn parameter(field: &FieldDescriptor, schemas: &mut Schemas) -> Value {
    let mut parameter = json!({
        "name": field.json_name(),
        "in": "query",
        "description": comment(&field.parent_file(), field.path()),
        "schema": schemas.field(field),
    });
    if field.is_map() {
        // labels[branch]=riga
        parameter["style"] = "deepObject".into();
        parameter["explode"] = true.into();
    }
    parameter
}

/// The schemas of the types that calls use.
#[derive(Default)]
struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// The schema of a message, by its name.
    fn message(&mut self, message: &MessageDescriptor) -> Value {
        match message.full_name() {
            "google.protobuf.Duration" => {
                return json!({
                    "type": "string",
                    "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$",
                    "examples": ["90s"],
                });
            }
            "google.protobuf.Timestamp" => {
                return json!({ "type": "string", "format": "date-time" });
            }
            _ => {}
        }
        let name = message.name().to_owned();
        if !self.0.contains_key(&name) {
            // Entered first, so that a type may hold itself.
            self.0.insert(name.clone(), Value::Null);
            let mut properties = Map::new();
            for field in message.fields() {
                let mut schema = self.field(&field);
                schema["description"] = described(&field).into();
                properties.insert(field.json_name().to_owned(), schema);
            }
            let schema = json!({
                "type": "object",
                "description": comment(&message.parent_file(), message.path()),
                "properties": properties,
            });
            self.0.insert(name.clone(), schema);
        }
        reference(&name)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let value = self.kind(&entry.map_entry_value_field().kind());
            return json!({ "type": "object", "additionalProperties": value });
        }
        let one = self.kind(&field.kind());
        if field.is_list() { json!({ "type": "array", "items": one }) } else { one }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Message(message) => self.message(message),
            Kind::Enum(values) => self.values(values),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "string", "format": "int64" })
            }
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer" })
            }
        }
    }

    fn values(&mut self, values: &EnumDescriptor) -> Value {
        let name = values.name().to_owned();
        let file = values.parent_file();
        let lines = values.values().map(|value| {
            let text = comment(&file, value.path()).replace('\n', " ");
            format!("- `{}`: {text}", value.name())
        });
        let lines: Vec<_> = lines.collect();
        let description = format!("{}\n\n{}", comment(&file, values.path()), lines.join("\n"));
        let names: Vec<_> = values.values().map(|value| value.name().to_owned()).collect();
        let schema = json!({ "type": "string", "description": description, "enum": names });
        self.0.insert(name.clone(), schema);
        reference(&name)
    }
}

/// The comment of a field, with the fields of which only one may be set.
fn described(field: &FieldDescriptor) -> String {
    let text = comment(&field.parent_file(), field.path());
    let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) else {
        return text;
    };
    let others: Vec<_> = oneof
        .fields()
        .filter(|other| other.number() != field.number())
        .map(|other| format!("`{}`", other.json_name()))
        .collect();
    format!("{text}\n\nNot together with {}.", others.join(", "))
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The comment before an element, without the spaces in front of its lines.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let source = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
    let location = source.location.iter().find(|location| location.path == path);
    let text = location.and_then(|location| location.leading_comments.as_deref());
    let lines = text.unwrap_or_default().lines().map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Connect's form of an error.
fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why a call was refused, in the form of the Connect protocol.",
        "required": ["code"],
        "properties": {
            "code": {
                "type": "string",
                "description": "The gRPC code in lower case, such as `not_found`; `canceled` has one l.",
            },
            "message": { "type": "string", "description": "A sentence for people." },
            "details": {
                "type": "array",
                "description": "Messages of google.rpc: ErrorInfo with the reason, BadRequest with \
                                the wrong fields, RetryInfo with the delay, and others.",
                "items": {
                    "type": "object",
                    "properties": {
                        "type": {
                            "type": "string",
                            "description": "The name of the message, such as `google.rpc.ErrorInfo`.",
                        },
                        "value": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "description": "The message in protobuf, as base64 without padding.",
                        },
                        "debug": { "description": "The same message in JSON." },
                    },
                },
            },
        },
    })
}
