//! Runs a script: decides for each request what happens to it.

use std::sync::Arc;

use uuid::Uuid;

use crate::simulator::analysis::AnalysisType;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::script::{Action, Match, Outcome, RULES_MAX, Rule, Script, Switches};
use crate::simulator::seed::Random;

/// What a rule can tell requests apart by.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The folder that the request is about.
    pub folder: Option<Uuid>,
    /// The types of the analyses that it starts or is about.
    pub types: Vec<AnalysisType>,
    /// Whether it starts analyses.
    pub starts: bool,
}

impl Subject {
    /// A folder that is created with analyses tells their types too late: any may be among them.
    fn may_concern(&self, kind: AnalysisType) -> bool {
        self.types.contains(&kind) || (self.starts && self.types.is_empty())
    }
}

/// What happens to one request.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All matching rules' actions in one.
    pub action: Action,
    /// The names of those rules.
    pub rules: Vec<String>,
    endings: Vec<ScriptedEnding>,
}

#[derive(Clone, Debug)]
struct ScriptedEnding {
    of_type: Option<AnalysisType>,
    never_finish: bool,
    outcome: Option<Outcome>,
}

impl Plan {
    /// Whether an analysis of this type never ends.
    pub fn never_finishes(&self, kind: AnalysisType) -> bool {
        self.endings_of(kind).any(|ending| ending.never_finish)
    }

    /// How an analysis of this type ends, if a rule says so.
    pub fn outcome(&self, kind: AnalysisType) -> Option<&Outcome> {
        self.endings_of(kind).find_map(|ending| ending.outcome.as_ref())
    }

    fn endings_of(&self, kind: AnalysisType) -> impl Iterator<Item = &ScriptedEnding> {
        self.endings.iter().filter(move |ending| ending.of_type.is_none_or(|it| it == kind))
    }
}

/// A script as it runs: with a count for each rule.
#[derive(Debug)]
pub struct Director {
    switches: Arc<Switches>,
    rules: Vec<Running>,
    random: Random,
}

#[derive(Debug)]
struct Running {
    rule: Rule,
    /// Requests that fitted, whichever of them were chosen.
    seen: u64,
    /// Requests that were chosen.
    applied: u64,
}

impl Director {
    /// Starts a script.
    pub fn new(script: Script, random: Random) -> Director {
        let mut director =
            Director { switches: Arc::new(script.switches), rules: Vec::new(), random };
        director.add(script.rules);
        director
    }

    /// The switches of the moment.
    pub fn switches(&self) -> Arc<Switches> {
        self.switches.clone()
    }

    /// Sets all switches.
    pub fn switch(&mut self, switches: Switches) {
        self.switches = Arc::new(switches);
    }

    /// Adds rules after those there are; those beyond the limit are left out.
    pub fn add(&mut self, rules: Vec<Rule>) {
        let room = RULES_MAX.saturating_sub(self.rules.len());
        let added = rules.into_iter().take(room);
        self.rules.extend(added.map(|rule| Running { rule, seen: 0, applied: 0 }));
    }

    /// Adds rules after those there are, all or none, and says which.
    pub fn try_add(&mut self, rules: Vec<Rule>) -> bool {
        let fits = self.rules.len() + rules.len() <= RULES_MAX;
        if fits {
            self.add(rules);
        }
        fits
    }

    /// Forgets all rules.
    pub fn clear_rules(&mut self) {
        self.rules.clear();
    }

    /// The script as it stands, without counts.
    pub fn script(&self) -> Script {
        Script {
            switches: (*self.switches).clone(),
            rules: self.rules.iter().map(|running| running.rule.clone()).collect(),
            ..Script::default()
        }
    }

    /// How many requests fitted each rule, and to how many it was applied.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        self.rules.iter().map(|running| (running.seen, running.applied)).collect()
    }

    /// Decides what happens to a request, and counts it.
    pub fn plan(&mut self, endpoint: Endpoint, subject: &Subject) -> Plan {
        let mut plan = Plan::default();
        for (index, running) in self.rules.iter_mut().enumerate() {
            if !running.fits(endpoint, subject) || !running.is_due(&mut self.random) {
                continue;
            }
            let Rule { name, when, then } = &running.rule;
            plan.rules.push(name.clone().unwrap_or_else(|| index.to_string()));
            plan.action = plan.action.or(then);
            plan.endings.push(ScriptedEnding {
                of_type: when.analysis_type,
                never_finish: then.never_finish,
                outcome: then.outcome.clone(),
            });
        }
        plan
    }
}

impl Running {
    fn fits(&self, endpoint: Endpoint, subject: &Subject) -> bool {
        let when = &self.rule.when;
        let is_folder = |wanted: &String| {
            subject.folder.is_some_and(|it| wanted.eq_ignore_ascii_case(&it.to_string()))
        };
        // How analyses end is settled when they start: elsewhere such a rule means nothing.
        let only_endings = self.rule.then.is_only_about_endings();
        when.endpoint.is_none_or(|it| it == endpoint)
            && when.folder.as_ref().is_none_or(is_folder)
            && when.analysis_type.is_none_or(|it| subject.may_concern(it))
            && (!only_endings || subject.starts)
    }

    fn is_due(&mut self, random: &mut Random) -> bool {
        self.seen += 1;
        let when = &self.rule.when;
        let due = is_chosen(when, self.seen)
            && when.times.is_none_or(|times| self.applied < times)
            && when.probability.is_none_or(|probability| random.chance(probability));
        self.applied += u64::from(due);
        due
    }
}

fn is_chosen(when: &Match, number: u64) -> bool {
    when.nth.is_none_or(|nth| number == nth)
        && when.from.is_none_or(|from| number >= from)
        && when.to.is_none_or(|to| number <= to)
        && when.every.is_none_or(|every| number.is_multiple_of(every.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(when: Match, requests: usize) -> Vec<bool> {
        let action = Action { delay_ms: Some(1), ..Action::default() };
        let rule = Rule { name: None, when, then: action };
        let script = Script { rules: vec![rule], ..Script::default() };
        let mut director = Director::new(script, Random::new(Some(3)));
        let mut ask = || director.plan(Endpoint::Login, &Subject::default()).action.delay_ms;
        (0..requests).map(|_| ask().is_some()).collect()
    }

    #[test]
    fn rules_choose_by_number() {
        let when = Match { nth: Some(2), ..Match::default() };
        assert_eq!(delays(when, 3), [false, true, false]);
        let when = Match { from: Some(2), to: Some(3), ..Match::default() };
        assert_eq!(delays(when, 4), [false, true, true, false]);
        let when = Match { every: Some(2), times: Some(1), ..Match::default() };
        assert_eq!(delays(when, 4), [false, true, false, false]);
    }

    #[test]
    fn chances_repeat_with_the_seed() {
        let when = Match { probability: Some(0.5), ..Match::default() };
        assert_eq!(delays(when.clone(), 50), delays(when.clone(), 50));
        let due = delays(when, 50).iter().filter(|due| **due).count();
        assert!((10..40).contains(&due), "{due}");
    }

    #[test]
    fn an_outcome_is_for_its_own_type() {
        let rule = Rule::default()
            .of_type(AnalysisType::Biometry)
            .then(Action { outcome: Some(Outcome::scored("X", 0.1)), ..Action::default() });
        let script = Script { rules: vec![rule], ..Script::default() };
        let mut director = Director::new(script, Random::new(Some(3)));
        let types = vec![AnalysisType::Quality, AnalysisType::Biometry];
        let subject = Subject { folder: None, types, starts: true };
        let plan = director.plan(Endpoint::StartAnalyses, &subject);
        assert!(plan.outcome(AnalysisType::Biometry).is_some());
        assert!(plan.outcome(AnalysisType::Quality).is_none());
    }
}
