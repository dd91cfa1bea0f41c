//! `fastws listen`.

use crate::stage::{Running, Server, fastws};

#[tokio::test]
async fn a_topic_is_printed_frame_by_frame() {
    let server = Server::start().await;
    for arguments in [&["bars:AAPL:1"][..], &["bars.subscribe", r#"{"symbol":"AAPL"}"#]] {
        let told = fastws(&[&["listen", &server.socket(), "--count", "3"], arguments].concat()).await;
        assert_eq!(told.code, 0, "{told:?}");
        let frames = told.values();
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|frame| frame["topic"] == "bars:AAPL:1" && frame["type"] == "bars.update"));
        assert_eq!(frames[0]["snapshot"], true);
    }
    let several = ["quotes.subscribe", r#"{"symbols":["AAPL","MSFT"]}"#, "--count", "6", "--format", "text"];
    let told = fastws(&[&["listen", &server.docs()], &several[..]].concat()).await;
    assert!(told.code == 0 && told.out.lines().count() == 6, "{told:?}");
    assert!(told.out.contains(" quotes:AAPL snapshot {") && told.out.contains(" quotes:MSFT "), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_told_with_those_that_do() {
    let server = Server::start().await;
    let told = fastws(&["listen", &server.docs(), "candles:AAPL"]).await;
    assert!(told.code == 2 && told.err.contains("bars:{symbol}:{resolution}"), "{told:?}");
    let told = fastws(&["listen", &server.docs(), "bars:NOPE:1"]).await;
    assert!(told.code == 1 && told.err.contains("unknown_symbol"), "{told:?}");
    let told = fastws(&["listen", &server.docs(), "bars:AAPL:7"]).await;
    assert!(told.code == 1 && told.err.contains("/resolution"), "{told:?}");
    let told = fastws(&["listen", &server.docs(), "alerts.subscribe", "--for", "0.2"]).await;
    assert_eq!((told.code, told.out.as_str()), (0, ""), "time is up: {told:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_listened_to_again() {
    let server = Server::start().await;
    let address = server.address;
    let mut running = Running::start(&["listen", &server.socket(), "bars:AAPL:1"]);
    assert_eq!(running.line().await["snapshot"], true);
    server.stop().await;
    running.noted("connecting again").await;
    let server = Server::start_at(address).await;
    running.noted("subscribed to bars:AAPL:1").await;
    while running.line().await["snapshot"] != true {}
    running.interrupt().await;
    assert_eq!(running.code().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn ctrl_c_unsubscribes_and_ends_well() {
    let server = Server::start().await;
    let mut running = Running::start(&["listen", &server.socket(), "bars:MSFT:5"]);
    running.line().await;
    assert_eq!(server.topics(), 1);
    running.interrupt().await;
    assert_eq!(running.code().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn an_output_that_nobody_reads_ends_it_quietly() {
    let server = Server::start().await;
    let mut running = Running::start(&["listen", &server.socket(), "bars:AAPL:1"]);
    running.line().await;
    running.stop_reading();
    assert_eq!(running.code().await, 0);
    server.stop().await;
}
