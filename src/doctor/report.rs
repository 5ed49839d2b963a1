//! The report for the developers: the shapes of Oz's answers, and how each finding ended.
//!
//! It has no values, no addresses and no ids, so that an operator may send it without asking the
//! persons in the folders.

use serde_json::{Value, json};

use crate::{
    doctor::{Finding, shape::shape},
    oz::{CertificateFault, LinkFault, ProbeOutcome},
};

/// Replaces a text that holds a secret.
const WITHHELD: &str = "[withheld]";

/// The answers of one examination.
#[derive(Default)]
pub struct Report {
    answers: Vec<Value>,
    findings: Vec<Value>,
}

impl Report {
    /// Adds the answer to a request, whose label has no ids. An answer like one before is left out.
    /// A key or a name that holds a secret is replaced: Oz may have sent it back.
    pub fn answered(
        &mut self,
        request: &str,
        outcome: &ProbeOutcome,
        is_secret: &dyn Fn(&str) -> bool,
    ) {
        let answer = match outcome {
            Ok(answer) => json!({
                "request": request,
                "status": answer.status,
                "headers": withheld(json!(answer.header_names), is_secret),
                "error_code": answer.failure.as_ref().and_then(|failure| failure.error_code),
                "body": answer.json.as_ref().map_or_else(
                    || "not JSON".into(),
                    |json| withheld(shape(json), is_secret),
                ),
            }),
            Err(none) => json!({ "request": request, "fault": fault(&none.fault) }),
        };
        if !self.answers.contains(&answer) {
            self.answers.push(answer);
        }
    }

    /// Adds a finding, without its texts.
    pub fn found(&mut self, finding: &Finding) {
        self.findings.push(json!({ "verdict": finding.verdict, "step": finding.step }));
    }

    /// The report as JSON for people.
    pub fn text(&self) -> String {
        let report = json!({
            "facematch": env!("CARGO_PKG_VERSION"),
            "findings": self.findings,
            "answers": self.answers,
        });
        format!("{report:#}\n")
    }
}

/// The same without texts and keys that hold a secret.
fn withheld(value: Value, is_secret: &dyn Fn(&str) -> bool) -> Value {
    let shown = |text: String| if is_secret(&text) { WITHHELD.to_owned() } else { text };
    match value {
        Value::String(text) => Value::String(shown(text)),
        Value::Array(items) => items.into_iter().map(|item| withheld(item, is_secret)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (shown(key), withheld(value, is_secret)))
            .collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

/// The fault's name. Names in a certificate are left out.
fn fault(fault: &LinkFault) -> String {
    match fault {
        LinkFault::Certificate(CertificateFault::WrongName(_)) => {
            "Certificate(WrongName)".to_owned()
        }
        fault => format!("{fault:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::DoctorStep, oz::NoAnswer};

    fn broken(fault: LinkFault) -> ProbeOutcome {
        Err(NoAnswer { fault, causes: "no route to 10.0.0.7".to_owned() })
    }

    #[test]
    fn what_holds_a_secret_is_withheld_wherever_it_stands() {
        let told = json!({ "a": [{ "of-canary": "text" }, "canary", 1, null], "b": true });
        let left = withheld(told, &|text| text.contains("canary"));
        let expected = json!({ "a": [{ WITHHELD: "text" }, WITHHELD, 1, null], "b": true });
        assert_eq!(left, expected);
    }

    #[test]
    fn a_report_names_faults_and_steps_without_their_texts() {
        let mut report = Report::default();
        let names = CertificateFault::WrongName(vec!["oz.internal".to_owned()]);
        let is_secret = |_: &str| false;
        report.answered("GET /a", &broken(LinkFault::Certificate(names)), &is_secret);
        for _ in 0..3 {
            report.answered("GET /b", &broken(LinkFault::Refused), &is_secret);
        }
        report.found(&Finding::differs(DoctorStep::Tls, "of oz.internal", "ask 10.0.0.7"));
        let text = report.text();
        for absent in ["oz.internal", "10.0.0.7"] {
            assert!(!text.contains(absent), "{text}");
        }
        let report: Value = serde_json::from_str(&text).unwrap();
        let faults = json!([
            { "request": "GET /a", "fault": "Certificate(WrongName)" },
            { "request": "GET /b", "fault": "Refused" },
        ]);
        assert_eq!(report["answers"], faults, "an answer is reported once");
        assert_eq!(report["findings"], json!([{ "verdict": "differs", "step": "TLS" }]));
    }
}
