//! Row 18: watches and lists that do not keep to the protocol.

use super::*;
use crate::simulation::api_server::{GARBAGE, Manner};

/// What is wrong with the watch of a kind.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Watch(Manner),
    NoBookmarks,
    /// A later page of a list is refused as expired, once; the list is asked for anew by a cut.
    LostPage,
}

/// Whatever is wrong, a change by somebody else is known within a bound.
fn wrong(plural: &'static str, wrong: Wrong) -> Result<usize, String> {
    play(Options::quiet(1), async move |world| {
        if let Wrong::LostPage = wrong {
            world.server.page.set(Some(2));
        }
        begin(&world, &[first()]).await?;
        for n in 0..6 {
            world.membership.order(&existing_of(
                &format!("org-p{n}"),
                "v1",
                &["auth", "ledger"],
                &["web"],
                false,
            ));
        }
        world.converged(SOON).await?;
        let mut lost = 0;
        let struck = script(&world, move |call| {
            // A page after the first has no index of its own; every second list request is one.
            let page = matches!(wrong, Wrong::LostPage) && call.verb == "list" && call.plural == plural;
            lost += usize::from(page);
            (page && lost == 2).then_some(Fate::Answer { code: 410, retry_after: None })
        });
        match wrong {
            Wrong::Watch(manner) => {
                world.server.manners.borrow_mut().insert(plural.into(), manner);
                world.server.stir();
            }
            Wrong::NoBookmarks => world.server.faults.borrow_mut().no_bookmarks = true,
            Wrong::LostPage => {
                world.server.manners.borrow_mut().insert(plural.into(), Manner::Garbled(GARBAGE[0]));
                world.server.stir();
            }
        }
        net::sleep(Duration::from_secs(1)).await;
        if !matches!(wrong, Wrong::Watch(Manner::Cut)) {
            world.server.manners.borrow_mut().remove(plural);
        }
        let name = if plural == "authclients" { format!("{STACK}-web") } else { STACK.to_owned() };
        world.delete(plural, &name);
        net::sleep(Duration::from_secs(2)).await;
        world.server.manners.borrow_mut().remove(plural);
        let gone = || !world.agent_knows(plural, &name);
        // The longest that a dead watch is borne, and the time for a fresh list.
        world.until("the agent knows", Duration::from_secs(200), gone).await?;
        world.membership.cut(Duration::ZERO);
        net::sleep(Duration::from_secs(2)).await;
        world.converged(SOON).await?;
        let told = world.all_struck();
        let struck = *struck.borrow()
            + ["watch-cut", "watch-silent", "watch-garbled", "no-bookmark"]
                .iter()
                .map(|it| told.of(it) as usize)
                .sum::<usize>();
        Ok(struck)
    })
}

#[test]
fn row_18_no_watch_stays_stuck() {
    family("row 18", || {
        let mut covered = Covered::default();
        let mut wrongs = vec![
            Wrong::Watch(Manner::Cut),
            Wrong::Watch(Manner::Silent),
            Wrong::NoBookmarks,
            Wrong::LostPage,
        ];
        wrongs.extend(GARBAGE.map(|line| Wrong::Watch(Manner::Garbled(line))));
        for plural in ["stacks", "auths", "ledgers", "authclients"] {
            for what in &wrongs {
                covered.add(wrong(plural, *what).map_err(|text| format!("{plural}, {what:?}: {text}"))?);
            }
        }
        Ok(covered)
    });
}
