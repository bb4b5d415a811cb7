//! Whether the loops of this engine run: one that panicked or ended is being started again.

use streams::tasks::{Role, State, Status};

use super::{Check, Doctor, Unread};

pub(super) const NAME: &str = "tasks";

pub(super) async fn check(doctor: &Doctor) -> Result<Check, Unread> {
    Ok(judge(&doctor.parts.tasks.status()))
}

fn judge(tasks: &[Status]) -> Check {
    let mut check = Check::new(NAME, "every background loop runs");
    check.count("running", tasks.iter().filter(|task| task.state == State::Running).count());
    check.count("restarts", tasks.iter().map(|task| task.restarts).sum::<u64>());
    for task in tasks.iter().filter(|task| task.state == State::Restarting) {
        let cause = task.error.as_deref().unwrap_or("the cause is unknown");
        let sentence = format!("it does not run and is started again; {cause}");
        let way_out = "read the engine's log for what it was doing; restart this process if it does not come back";
        match task.role {
            Role::Essential => check.wrong(format!("task:{}", task.name), sentence, way_out),
            Role::Supporting => check.warn(format!("task:{}", task.name), sentence, way_out),
        }
    }
    for task in tasks.iter().filter(|task| task.state == State::Running) {
        if let Some(error) = &task.error {
            let sentence = format!("its last round failed; {error}");
            check.warn(format!("task:{}", task.name), sentence, "it tries again by itself; see to what it names");
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn task(role: Role, state: State, error: Option<&str>) -> Status {
        let (restarts, error) = (0, error.map(str::to_owned));
        Status { name: "relay", role, state, restarts, last_run_at: None, last_duration: None, error, error_at: None }
    }

    #[test]
    fn a_loop_that_is_down_is_wrong_only_where_work_depends_on_it() {
        let verdict = |role, state, error| judge(&[task(role, state, error)]).verdict();
        assert_eq!(verdict(Role::Essential, State::Running, None), Verdict::Ok);
        assert_eq!(verdict(Role::Supporting, State::Running, Some("the database is away")), Verdict::Warning);
        assert_eq!(verdict(Role::Supporting, State::Restarting, Some("it panicked: x")), Verdict::Warning);
        assert_eq!(verdict(Role::Essential, State::Restarting, Some("it panicked: x")), Verdict::Wrong);
    }
}
