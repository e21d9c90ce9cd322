//! What `replay` says and with which code it ends.

use crate::{
    replay::on_each_server,
    support::{
        objects::{find, get},
        orders::{StackExt, deleted, line, stack},
        playback::{reports, told_deleted},
    },
};

#[test]
fn a_line_that_is_no_order_is_named_and_the_others_run() {
    on_each_server(|rest, playback| {
        let text = [
            line(stack("lines-first").order()),
            String::new(),
            "{\"existingStack\": nonsense}".into(),
            line(stack("lines-last").order()),
            "{\"existingStack\":{\"clusterName\":\"Not A Name\"}}".into(),
            line(deleted("lines-absent")),
        ]
        .join("\n");
        let outcome = playback.lines(&text);
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        assert!(outcome.stderr.lines().any(|line| line.contains("line 3")), "{}", outcome.stderr);
        assert!(outcome.stderr.lines().any(|line| line.contains("Not A Name")), "{}", outcome.stderr);
        assert!(!outcome.stderr.lines().any(|line| line.contains("line 2")), "an empty line is nothing");
        assert!(find(rest, "stacks", "lines-first").is_some());
        assert!(find(rest, "stacks", "lines-last").is_some());
        assert_eq!(told_deleted(&outcome.stdout), ["lines-absent"]);
    });
}

#[test]
fn orders_are_read_from_standard_input_too() {
    on_each_server(|rest, playback| {
        let text = format!("{}\n{}\n", line(stack("stdin-made").order()), line(deleted("stdin-absent")));
        let outcome = playback.piped(&text);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        assert!(find(rest, "stacks", "stdin-made").is_some());
        assert_eq!(told_deleted(&outcome.stdout), ["stdin-absent"]);
    });
}

#[test]
fn only_reports_go_to_standard_output_and_a_summary_to_standard_error() {
    on_each_server(|_, playback| {
        let orders = (0..5).map(|i| deleted(&format!("summary-{i}")));
        let outcome = playback.applied(orders.chain([stack("summary-made").order()]));
        assert_eq!(reports(&outcome.stdout).len(), 5, "{outcome:#?}");
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert!(last.contains('6'), "the number of orders: {outcome:#?}");
    });
}

#[test]
fn an_empty_file_is_no_fault() {
    on_each_server(|_, playback| {
        let outcome = playback.lines("");
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        assert_eq!(outcome.stdout, "");
    });
}

#[test]
fn what_the_server_refuses_fails_the_run_and_harms_nothing_else() {
    on_each_server(|rest, playback| {
        // More than a request may have, and more than the store behind it takes; neither more than an
        // order may have.
        for (name, size) in [("refused-413", 7 << 19), ("refused-500", 2 << 20)] {
            let refused = stack(name).versions(&"x".repeat(size)).modules(&["ledger"]);
            let good = stack("refused-not").versions(name).modules(&["ledger"]);
            let outcome = playback.run([refused.order(), good.order()]);
            assert_eq!(outcome.code, Some(1), "{outcome:#?}");
            assert!(outcome.stderr.lines().any(|line| line.contains(name)), "{outcome:#?}");
            assert!(outcome.stderr.len() < 10_000, "{} bytes of log", outcome.stderr.len());
            assert_eq!(get(rest, "stacks", "refused-not")["spec"]["versionsFromFile"], name);
            assert!(find(rest, "ledgers", "refused-not").is_some());
            assert_eq!(find(rest, "stacks", name), None);
        }
    });
}
