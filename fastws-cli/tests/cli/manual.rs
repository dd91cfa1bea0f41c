//! What the command says about itself.

use crate::stage::{Running, fastws};

#[tokio::test]
async fn there_are_completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let told = fastws(&["completions", shell]).await;
        assert!(told.code == 0 && told.out.contains("conform"), "{shell}: {}", told.err);
    }
    for (arguments, title) in [(&["man"][..], ".TH fastws 1"), (&["man", "call"], ".TH fastws-call 1")] {
        let told = fastws(arguments).await;
        assert!(told.code == 0 && told.out.contains(title), "{arguments:?}: {}", told.out);
    }
    let told = fastws(&["man", "nothing"]).await;
    assert!(told.code == 2 && told.err.contains("there is no command `nothing`"), "{told:?}");
}

#[tokio::test]
async fn help_tells_exit_codes_and_output() {
    for command in ["lint", "diff", "call", "listen", "conform"] {
        let told = fastws(&[command, "--help"]).await;
        assert!(told.code == 0 && told.out.contains("Exit codes:"), "{command}: {}", told.out);
    }
    assert_eq!(fastws(&["call"]).await.code, 2, "wrong usage");
}

#[tokio::test]
async fn an_output_that_nobody_reads_ends_the_command_quietly() {
    let mut running = Running::start(&["completions", "bash"]);
    running.stop_reading();
    assert_eq!(running.code().await, 0);
}
