//! Row 14 again: what an outage kept waiting is right soon after its end, however long it was.

use super::*;
use crate::{cluster::ClientLimits, time};

/// What keeps requests from being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutageShape {
    /// Everything is answered with this, and asked to wait so long.
    Answers(u16, Option<u32>),
    /// Nobody gets through.
    Refused,
    /// Nothing is answered.
    Silent,
    /// Ledgers cannot be written: their webhook is away.
    Webhook,
}

#[derive(Debug, Clone, Copy)]
struct Scene {
    shape: OutageShape,
    stacks: usize,
    lasts: Duration,
    /// Stacks are there before, and are changed; else they are made.
    changed: bool,
}

const QPS: f64 = 500.0;
const DEADLINE: Duration = Duration::from_secs(5);
/// A stack whose content the API server refuses.
const BAD: &str = "org-bad";

impl Scene {
    fn strikes(&self, call: &Call) -> Option<Fate> {
        match self.shape {
            OutageShape::Answers(code, retry_after) => Some(Fate::Answer { code, retry_after }),
            OutageShape::Refused => Some(Fate::Refuse),
            OutageShape::Silent => Some(Fate::BlackHole),
            OutageShape::Webhook => (call.write.is_some() && call.plural == "ledgers")
                .then_some(Fate::Answer { code: 500, retry_after: None }),
        }
    }

    /// What the limiter needs, and what no agent can know sooner: requests that hang end at their
    /// deadline, and before the time that it was asked for none goes out.
    fn within(&self) -> Duration {
        let requests = self.stacks * if self.changed { 1 } else { 3 };
        let unknown = match self.shape {
            OutageShape::Answers(_, Some(asked)) => time::seconds(f64::from(asked) * 1.25),
            OutageShape::Silent => DEADLINE,
            _ => Duration::ZERO,
        };
        Duration::from_secs(2) + time::seconds(requests as f64 / QPS) + unknown
    }

    fn order(&self, n: usize, version: &str) -> Order {
        let modules: &[&str] =
            if self.changed && self.shape != OutageShape::Webhook { &[] } else { &["ledger"] };
        existing_of(&format!("org-s{n:04}"), version, modules, &[], false)
    }

    fn is_right(&self, world: &World, version: &str) -> bool {
        let plural = if self.shape == OutageShape::Webhook { "ledgers" } else { "stacks" };
        let cluster = world.server.cluster.borrow();
        let kind = cluster.kind("formance.com", "v1beta1", plural).expect("a kind");
        (0..self.stacks).all(|n| {
            let object = cluster.get(&kind, &format!("org-s{n:04}"));
            object.is_ok_and(|object| object.value()["metadata"]["labels"]["formance.com/plan"] == *version)
        })
    }
}

/// Orders come in the outage; then it ends. Gives the requests that were turned down.
fn outage(scene: Scene) -> Result<usize, String> {
    let options = Options {
        limits: ClientLimits { qps: QPS, burst: 50, max_in_flight: 64, deadline: DEADLINE },
        stacks_in_flight: 128,
        operated: false,
        ..Options::quiet(scene.stacks as u64)
    };
    play(options, async move |world| {
        begin(&world, &[]).await?;
        let patience = Duration::from_secs(60);
        if scene.changed {
            (0..scene.stacks).for_each(|n| world.membership.order(&scene.order(n, "v1")));
            world.until("all are made", patience, || scene.is_right(&world, "v1")).await?;
        }
        world.membership.order(&existing_of(BAD, "v1", &[], &[], false));
        let until = time::now() + scene.lasts;
        let bad = Rc::new(RefCell::new(Vec::new()));
        let tries = Rc::clone(&bad);
        let struck = script(&world, move |call| {
            if call.name == BAD && call.write.is_some() {
                tries.borrow_mut().push(time::now());
                return Some(Fate::Answer { code: 422, retry_after: None });
            }
            (time::now() < until).then(|| scene.strikes(call)).flatten()
        });
        net::sleep(Duration::from_millis(100)).await;
        (0..scene.stacks).for_each(|n| world.membership.order(&scene.order(n, "v2")));
        net::sleep(until.saturating_duration_since(time::now())).await;
        let turned_down = *struck.borrow();
        let within = scene.within();
        world
            .until(&format!("all is right after {scene:?}"), within, || scene.is_right(&world, "v2"))
            .await?;
        // It was refused once before, and is tried again at a pace of its own.
        let soonest = bad.borrow().windows(2).map(|pair| pair[1] - pair[0]).min();
        if let Some(soonest) = soonest.filter(|soonest| *soonest < Duration::from_secs(30)) {
            return Err(format!("{BAD} was refused, and tried again after {soonest:?}"));
        }
        // First everybody is tried, then one a second of each class on each shard, and of the kinds that
        // are watched.
        let most = scene.stacks * 2 + 100 + scene.lasts.as_secs() as usize * 12;
        if turned_down > most {
            return Err(format!("{turned_down} requests in {scene:?}, more than {most}"));
        }
        Ok(turned_down)
    })
}

fn scenes() -> Vec<Scene> {
    let shapes = [
        OutageShape::Answers(503, None),
        OutageShape::Answers(401, None),
        OutageShape::Answers(429, Some(2)),
        OutageShape::Refused,
        OutageShape::Silent,
        OutageShape::Webhook,
    ];
    let seconds = |n| Duration::from_secs(n);
    let mut scenes = Vec::new();
    for shape in shapes {
        for (stacks, lasts, changed) in
            [(20, 1, true), (20, 25, false), (1, 40, true), (100, 60, true), (3, 600, false)]
        {
            scenes.push(Scene { shape, stacks, lasts: seconds(lasts), changed });
        }
    }
    let large = |shape, lasts| Scene { shape, stacks: 5000, lasts: seconds(lasts), changed: true };
    scenes.extend([large(OutageShape::Answers(503, None), 300), large(OutageShape::Webhook, 600)]);
    scenes
}

fn outages() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for scene in scenes() {
        covered.add(outage(scene)?);
    }
    Ok(covered)
}

#[test]
fn row_14_after_an_outage_all_is_right_at_once() {
    family("row 14, ends of outages", outages);
}

/// How long until a stack is right of which so many writes in a row fail.
fn failures(most: usize) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        begin(&world, &[]).await?;
        let mut left = most;
        let struck = script(&world, move |call| {
            call.write?;
            left = left.checked_sub(1)?;
            Some(Fate::Answer { code: 500, retry_after: None })
        });
        world.membership.order(&existing_of(STACK, "v1", &[], &[], false));
        let made = || world.server.get("stacks", STACK).is_some();
        world.until("it is made", Duration::from_secs(most as u64 + 3), made).await?;
        let struck = *struck.borrow();
        Ok(struck)
    })
}

#[test]
fn row_14_fifteen_failures_in_a_row_do_not_add_up() {
    family("row 14, failures in a row", || {
        let mut covered = Covered::default();
        covered.add(failures(15)?);
        Ok(covered)
    });
}

/// The server comes and goes; each time somebody is let go, and fails again.
#[test]
fn row_14_an_outage_that_comes_back_costs_a_backoff_at_most() {
    let options = Options { operated: false, ..Options::quiet(3) };
    let outcome = play(options, async move |world| {
        begin(&world, &[]).await?;
        let begun = time::now();
        script(&world, move |_| {
            let at = time::now() - begun;
            let is_down = at < Duration::from_secs(25) && at.as_millis() % 4000 < 3000;
            is_down.then_some(Fate::Answer { code: 503, retry_after: None })
        });
        let scene = Scene {
            shape: OutageShape::Answers(503, None),
            stacks: 400,
            lasts: Duration::ZERO,
            changed: false,
        };
        (0..scene.stacks).for_each(|n| world.membership.order(&scene.order(n, "v1")));
        net::sleep(Duration::from_secs(25)).await;
        let within = Duration::from_secs(12) + Duration::from_secs(scene.stacks as u64 * 3 / 200);
        world.until("all is right", within, || scene.is_right(&world, "v1")).await
    });
    assert_eq!(outcome, Ok(()));
}
