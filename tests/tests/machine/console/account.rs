// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console of a container that runs through an account: the account, and root inside, neither get at it nor put anything in
//! its place, whenever they try.

use ct_tests::{Machine, on_every_machine};

use super::container::{configure, prepare};

/// The account, and what root inside is on the host.
const USERS: [&str; 2] = ["ct-web", "200000"];

/// Tries without pause to make, move, replace, remove and reach the console and its directories, until it is told to stop.
/// Prints what was done, and says so when everything has been refused at least once.
const ATTACK: &str = r#"use Socket; $| = 1; my ($own) = @ARGV; open my $file, ">", "$own/file" or die; my %refused;
    my @attacks;
    for my $directory ("/run/ct/web", "/run/ct-console/web") {
        push @attacks, ["make $directory", sub { mkdir $directory }], ["link $directory", sub { symlink $own, $directory }],
            ["move $directory", sub { rename $directory, "$own/stolen" }], ["replace $directory", sub { rename "$own/none", $directory }];
        for my $path (map { "$directory/$_" } ($directory =~ /console/ ? "handover" : "console")) {
            push @attacks, ["make $path", sub { mkdir $path }], ["link $path", sub { symlink "$own/file", $path }],
                ["move $path", sub { rename $path, "$path-stolen" }], ["replace $path", sub { rename "$own/file", $path }],
                ["remove $path", sub { unlink $path }], ["open to all $path", sub { chmod 0777, $path }],
                ["reach $path", sub { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; connect $s, pack_sockaddr_un($path) }];
        }
        push @attacks, ["open to all $directory", sub { chmod 0777, $directory }];
    }
    until (-e "/tmp/enough") {
        mkdir "$own/none";
        for (@attacks) { my ($what, $try) = @$_;
            if ($try->()) { print "DONE: $what\n" } elsif ($! == 13 || $! == 1) { $refused{$what} = 1 } }
        if (keys %refused == @attacks && !$said++) { print "all refused\n" }
    }
    print map { "never refused: $$_[0]\n" } grep { !$refused{$$_[0]} } @attacks;"#;

on_every_machine! {
    fn an_account_neither_reaches_a_console_nor_takes_its_place(machine: &Machine) {
        prepare(machine);
        configure(machine, ("crun", "ct-web"), "trap 'exit 0' TERM; echo up; sleep 1000 & wait\n", "process.terminal = true\n");
        let attackers = USERS.map(|user| {
            let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
            // On the same file system, or nothing could be moved.
            let own = format!("/run/attack-{user}");
            machine.shell(&format!("install -d -o {user} {own}")).succeeds();
            machine.command(["setpriv", &uid, &gid, "--clear-groups", "perl", "-e", ATTACK, &own]).spawn()
        });
        // While it starts, runs, starts again, stops, and while its service comes back.
        for _ in 0..5 {
            machine.start("ct@web");
            machine.shell("systemctl restart ct@web").succeeds();
            machine.kill_service("ct-console@web");
            let (mut client, _) = machine.attach("web", ct_console::Mode::Write, None);
            client.hear_until("up");
            let owners = "cd /run; stat -c '%n %F %a %U %G' ct ct/web ct/web/console ct-console ct-console/web ct-console/web/handover";
            assert_eq!(
                machine.shell(owners).succeeds().stdout,
                "ct directory 755 root root\nct/web directory 711 root root\nct/web/console socket 600 root root\n\
                 ct-console directory 755 root root\nct-console/web directory 700 root root\n\
                 ct-console/web/handover socket 600 root root\n"
            );
            machine.stop("ct@web");
            machine.wait_for("ct-console@web", "ActiveState", "inactive");
        }
        machine.start("ct@web");
        machine.wait_until_true(|| attackers.iter().all(|attacker| !attacker.stdout().is_empty()));
        machine.write_file("/tmp/enough", 0o644, "");
        for (user, attacker) in USERS.iter().zip(attackers) {
            assert_eq!(attacker.wait().succeeds().stdout, "all refused\n", "{user}");
        }
    }
}
