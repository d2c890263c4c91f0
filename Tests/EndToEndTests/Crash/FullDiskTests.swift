import Foundation
import Testing

/// The real client on a file system without a single byte of room.
@Suite(.enabled(if: SmallDiskTests.mayMount, "mounting needs root and unshare -m")) struct FullDiskTests {
    private let disk = SmallDiskTests()

    /// What the scripts have in common.
    private let fill = """
        fill() {
            dd if=/dev/zero of="$SMALL/fill.$1" bs=4k 2>/dev/null
            dd if=/dev/zero of="$SMALL/rest.$1" bs=1 2>/dev/null
            echo "free=$(df -k "$SMALL" | tail -n 1 | awk '{print $4}')"
        }
        export SHOAL_HOME="$SMALL/home"
        """

    /// What is in the write-ahead log is read, whether or not it fits into the database file.
    @Test func readingGoesOn() async throws {
        try await Scene.run { scene in
            let (code, other) = (try await scene.code("anna"), try await scene.code("ben"))
            let script = """
                \(fill)
                "$SHOAL" enroll "$URL" "$CODE" >/dev/null
                "$SHOAL" --home "$HOME/ben" enroll "$URL" "$OTHER" >/dev/null
                id=$("$SHOAL" customer add anton)
                "$SHOAL" sync >/dev/null; "$SHOAL" --home "$HOME/ben" sync >/dev/null
                "$SHOAL" customer set "$id" phone=1 >/dev/null
                "$SHOAL" --home "$HOME/ben" customer set "$id" phone=2 >/dev/null
                "$SHOAL" sync >/dev/null; "$SHOAL" --home "$HOME/ben" sync >/dev/null; "$SHOAL" sync >/dev/null
                written=1
                body=$(head -c 30000 /dev/zero | tr '\\0' x)
                # So little room is left that the log takes a command which the database file does not.
                head -c 180000 /dev/zero > "$SMALL/room"; fill 1; rm "$SMALL/room"
                while "$SHOAL" customer add "berta $written." --field "remark=$body" >/dev/null 2>&1; do
                    written=$((written+1))
                done
                echo "written=$written"
                rm -f "$SHOAL_HOME/replica.db-shm"
                fill 2
                echo "log=$(stat -c %s "$SHOAL_HOME/replica.db-wal")"
                before=$(stat -c %s "$SHOAL_HOME/replica.db")
                echo "listed=$("$SHOAL" customer list --json | grep -o '"name":' | wc -l)"
                echo "shown=$("$SHOAL" customer show "$id" | grep -c anton)"
                "$SHOAL" status >/dev/null; echo "status=$?"
                echo "conflicts=$("$SHOAL" conflicts --json | grep -o '"field":"phone"' | wc -l)"
                echo "dumped=$("$SHOAL" dump | grep -c 'berta [0-9]*[.]')"
                echo "found=$("$SHOAL" search berta --json | grep -o '"kind":' | wc -l)"
                # Several at a time wait for each other.
                for i in 1 2 3 4; do "$SHOAL" customer show "$id" >/dev/null & pids="${pids:-} $!"; done
                good=0
                for pid in $pids; do wait "$pid" && good=$((good+1)); done
                echo "good=$good"
                # Whoever waits in vain is told for whom: here for one whose output nobody takes.
                "$SHOAL" dump | (sleep 14; cat >/dev/null) &
                sleep 1
                "$SHOAL" status >/dev/null 2>"$HOME/refusal"; echo "busy=$?"
                echo "named=$(grep -c 'process [0-9]' "$HOME/refusal")"
                wait
                "$SHOAL" customer add no >/dev/null 2>"$HOME/refusal"; echo "add=$?"
                echo "clear=$(grep -c 'the disk is full' "$HOME/refusal")"
                "$SHOAL" sync --watch >/dev/null 2>"$HOME/refusal"; echo "watch=$?"
                echo "said=$(grep -c 'the disk is full' "$HOME/refusal")"
                "$SHOAL" export "$HOME/list.csv" >/dev/null 2>"$HOME/refusal"; echo "export=$?"
                echo "kept=$(ls "$HOME" | grep -c list.csv)"
                echo "grown=$(($(stat -c %s "$SHOAL_HOME/replica.db") - before))"
                rm "$SMALL"/fill.* "$SMALL"/rest.*; grow
                "$SHOAL" customer add "after" >/dev/null && "$SHOAL" sync >/dev/null; echo "after=$?"
                echo "all=$("$SHOAL" customer list --json | grep -o '"name":' | wc -l)"
                """
            let lines = try await disk.run(
                script, size: 2_048, scene, ["URL": scene.url, "CODE": code, "OTHER": other])
            func number(_ name: String) -> Int { disk.number(name, lines) }
            let written = number("written")
            #expect(number("free") == 0 && written > 1 && number("log") > 0, "\(lines)")
            #expect(number("listed") == written && number("shown") == 1 && number("status") == 0, "\(lines)")
            #expect(number("dumped") == written - 1 && number("found") == written - 1, "\(lines)")
            #expect(number("conflicts") == 1 && number("good") == 4 && number("grown") == 0, "\(lines)")
            #expect(number("busy") == 1 && number("named") == 1, "\(lines)")
            #expect(number("add") == 1 && number("clear") == 1, "\(lines)")
            #expect(number("watch") == 1 && number("said") == 1, "\(lines)")
            // What cannot be noted for the audit does not leave the home.
            #expect(number("export") == 1 && number("kept") == 0, "\(lines)")
            #expect(number("after") == 0 && number("all") == written + 1, "\(lines)")
        }
    }

    /// - Parameters:
    ///   - customers: of 30 kB each; many leave no room to empty their tables, a few do.
    ///   - isTight: whether not even the copies are there that are given up first.
    @Test(arguments: [(0, false), (0, true), (20, false), (20, true)])
    func aHomeThatIsLockedIsEmptied(customers: Int, isTight: Bool) async throws {
        try await Scene.run { scene in
            let code = try await scene.code("anna")
            let script = """
                \(fill)
                "$SHOAL" enroll "$URL" "$CODE" >/dev/null
                body=$(head -c 30000 /dev/zero | tr '\\0' x)
                n=0
                while [ $n -lt "$COUNT" ]; do
                    "$SHOAL" customer add "canary $n" --field "remark=$body" >/dev/null
                    n=$((n+1))
                done
                "$SHOAL" sync >/dev/null
                "$SHOAL" customer add "unsent canary" >/dev/null
                echo canary > "$SHOAL_HOME/replica.db.damaged-1"
                [ -z "$TIGHT" ] || rm "$SHOAL_HOME"/replica.db.*
                fill 1
                "$SHOALD" account disable anna --data "$SERVER" >/dev/null
                "$SHOAL" sync 2>"$HOME/said"; echo "sync=$?"
                echo "removed=$(grep -c 'its data was removed, and' "$HOME/said")"
                echo "left=$(grep -rl canary "$SHOAL_HOME" | wc -l)"
                "$SHOAL" customer list 2>"$HOME/said"; echo "list=$?"
                echo "locked=$(grep -c 'was locked at' "$HOME/said")"
                echo "unknown=$(grep -c 'is not enrolled yet' "$HOME/said")"
                rm "$SMALL"/fill.* "$SMALL"/rest.*
                code=$("$SHOALD" account add berta --role supervisor --data "$SERVER")
                "$SHOAL" enroll "$URL" "$code" >/dev/null; echo "anew=$?"
                """
            let lines = try await disk.run(
                script, size: 16_384, scene,
                [
                    "URL": scene.url, "CODE": code, "COUNT": "\(customers)", "TIGHT": isTight ? "1" : "",
                    "SERVER": scene.home("server"),
                ])
            func number(_ name: String) -> Int { disk.number(name, lines) }
            #expect(number("free") == 0 && number("sync") == 1 && number("removed") == 1, "\(lines)")
            #expect(number("left") == 0 && number("list") == 1 && number("anew") == 0, "\(lines)")
            // A home that was small leaves no room for another that says why it is empty.
            #expect(number("locked") == 1 || isTight && customers == 0 && number("unknown") == 1, "\(lines)")
            #expect(try await scene.shoald("dump").text.contains("unsent canary"))
        }
    }
}
