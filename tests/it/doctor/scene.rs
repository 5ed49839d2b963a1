//! A simulated Oz, the program that examines it, and its findings.

use facematch::simulator::{Config, Script, Simulator, Switches, sample};
use tempfile::TempDir;

use crate::{
    canary,
    commands::program::{Program, Ran},
};

/// A simulated Oz with canaries in its data.
pub struct Scene {
    pub oz: Simulator,
    pub directory: TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(canary::config()).await
    }

    pub async fn switched(change: impl FnOnce(&mut Switches)) -> Self {
        let mut switches = Switches::default();
        change(&mut switches);
        let script = Script { switches, ..Script::default() };
        Self::with(Config { script, ..canary::config() }).await
    }

    pub async fn with(config: Config) -> Self {
        let oz = Simulator::start_with(config).await.unwrap();
        oz.switch(|on| on.processing_ms = 20);
        Self { oz, directory: tempfile::tempdir().unwrap() }
    }

    /// A folder as an SDK leaves it.
    pub fn folder(&self) -> String {
        self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()))
    }

    /// The program that examines this Oz, with JSON as output.
    pub fn doctor(&self) -> Program {
        self.doctor_at(&self.oz.url())
    }

    /// The same at another address.
    pub fn doctor_at(&self, url: &str) -> Program {
        self.plain_doctor_at(url).arg("--output").arg("json")
    }

    /// The same with lines for people.
    pub fn plain_doctor(&self) -> Program {
        self.plain_doctor_at(&self.oz.url())
    }

    fn plain_doctor_at(&self, url: &str) -> Program {
        let (login, password) = self.oz.login();
        Program::new("doctor --oz-poll-interval 10ms --oz-url")
            .arg(url)
            .variable("FACEMATCH_OZ_LOGIN", login)
            .variable("FACEMATCH_OZ_PASSWORD", password)
    }

    /// The program with the service account's token.
    pub fn doctor_with_token(&self) -> Program {
        Program::new("doctor --oz-poll-interval 10ms --output json --oz-url")
            .arg(self.oz.url())
            .variable("FACEMATCH_OZ_TOKEN", self.oz.service_token())
    }

    /// A rehearsal with files of these names, which don't exist.
    pub fn with_media(&self, video: &str, photo: &str) -> Program {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let program = self.doctor().arg("--rehearse").arg("--video").arg(path(video));
        program.arg("--photo").arg(path(photo))
    }

    /// A rehearsal with the operator's own video and photo, of one person.
    pub fn with_own_media(&self) -> Program {
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(self.directory.path().join(name), bytes).unwrap();
        };
        // The simulator can't decode it, and answers SUCCESS.
        write("my video.mp4", b"a video of a phone");
        write("me.jpg", &canary::marked(sample::portrait_jpeg().into()));
        self.with_media("my video.mp4", "me.jpg")
    }
}

/// A finding: how it fared, what was tried, and the rest of its line.
#[derive(Debug)]
struct Line {
    verdict: String,
    step: String,
    text: String,
}

/// The outputs of an examination.
#[derive(Debug)]
pub struct Examination {
    pub ran: Ran,
    lines: Vec<Line>,
}

/// Runs the program, whose output must be JSON.
pub async fn examine(program: Program) -> Examination {
    let ran = program.piped().await;
    let lines = Ran::json(&ran.stdout).into_iter().map(|line| {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let advice = text("advice");
        assert!(text("verdict") != "differs" || !advice.is_empty(), "{line}");
        Line {
            verdict: text("verdict"),
            step: text("step"),
            text: format!("{}; {advice}", text("what")),
        }
    });
    let lines = lines.collect();
    Examination { ran, lines }
}

impl Examination {
    /// How many findings there are.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// The text of the finding about this step.
    #[track_caller]
    pub fn line(&self, step: &str) -> &str {
        let line = self.lines.iter().find(|line| line.step == step);
        &line.unwrap_or_else(|| panic!("nothing about {step}: {self:?}")).text
    }

    /// Fails unless nothing differs, and exactly these steps were not tried.
    #[track_caller]
    pub fn assert_healthy(&self, not_tried: &[&str]) {
        assert_eq!(self.steps("differs"), [""; 0], "{self:#?}");
        assert_eq!(self.steps("not tried"), not_tried, "{self:#?}");
        self.ran.assert_code(0);
    }

    /// Fails unless exactly these steps differ, and the first of them says this.
    #[track_caller]
    pub fn assert_differs(&self, steps: &[&str], told: &str) {
        assert_eq!(self.steps("differs"), steps, "{self:#?}");
        self.ran.assert_code(1);
        let first = self.line(steps[0]);
        assert!(first.contains(told), "{first} lacks {told}");
    }

    /// Fails unless this step was not tried.
    #[track_caller]
    pub fn assert_not_tried(&self, step: &str) {
        assert!(self.steps("not tried").contains(&step), "{self:#?}");
    }

    fn steps(&self, verdict: &str) -> Vec<&str> {
        let fits = self.lines.iter().filter(|line| line.verdict == verdict);
        fits.map(|line| line.step.as_str()).collect()
    }
}
