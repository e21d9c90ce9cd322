//! Row 1: the agent stops right after a write, at each of them.

use super::*;

/// When, after a write was carried out.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Before its answer comes.
    Applied,
    /// Once its answer has come.
    Answered,
}

fn run() -> Result<Covered, String> {
    let mut covered = Covered::default();
    for story in STORIES {
        let undisturbed = told(Options::quiet(1), story)?;
        for write in undisturbed.before.1..undisturbed.after.1 {
            for moment in [Moment::Applied, Moment::Answered] {
                let end = undisturbed.end.clone();
                crash(story, write, moment, end)
                    .map_err(|wrong| format!("{}, write {write}, {moment:?}: {wrong}", story.0))?;
                covered.add(1);
            }
        }
    }
    Ok(covered)
}

fn crash(story: Story, write: usize, moment: Moment, end: Content) -> Result<(), String> {
    play(Options::quiet(1), async move |world| {
        let mut orders = story.1();
        let last = orders.pop().ok_or("an empty story")?;
        begin(&world, &orders).await?;
        let weak = Rc::downgrade(&world);
        world.server.set_witness(Box::new(move |call, _| {
            let Some(world) = weak.upgrade().filter(|_| call.write == Some(write)) else { return };
            match moment {
                Moment::Applied => world.kill(),
                Moment::Answered => world.kill_after(Duration::from_millis(20)),
            }
        }));
        world.membership.order(&last);
        world.until("the agent is killed", SOON, || !world.is_running()).await?;
        net::sleep(Duration::from_secs(1)).await;
        world.start();
        world.ready().await?;
        ends_as(&world, &end, SOON).await
    })
}

#[test]
fn row_01_a_crash_after_any_write_ends_as_if_there_had_been_none() {
    family("row 01", run);
}
