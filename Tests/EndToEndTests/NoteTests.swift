import Foundation
import Testing

/// Notes as people write them: several edit one, and nothing of it is lost.
@Suite(.timeLimit(.minutes(2)))
struct NoteTests {
    /// Two homes that both have a note.
    private func pair(_ scene: Scene, _ body: String) async throws -> String {
        try await scene.enroll("a", as: "小王")
        try await scene.enroll("b", as: "小李")
        let customer = try await scene.ok("a", "customer", "add", "王小明")
        let note = try await scene.ok("a", "note", "add", customer, body)
        for home in ["a", "b"] { try await scene.ok(home, "sync") }
        return note
    }

    /// Both sync until both have all, and hold the same.
    private func settle(_ scene: Scene) async throws {
        for home in ["a", "b", "a"] { try await scene.ok(home, "sync") }
        #expect(try await scene.ok("a", "dump") == scene.ok("b", "dump"))
    }

    /// An editor that is a script; `$1` is the file.
    private func editor(_ scene: Scene, _ script: String) throws -> [String: String] {
        let path = "\(scene.directory)/editor-\(UUID().uuidString)"
        try "set -e\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        return ["EDITOR": "sh \(path)"]
    }

    @Test func twoEditOneNoteOfflineAndBothEditsStand() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "敏感肌,换季会过敏")
            try await scene.ok("a", "note", "edit", note, "敏感肌,春天会过敏")
            try await scene.ok("b", "note", "edit", note, "敏感肌,换季会过敏,用面霜👍🏽")
            try await settle(scene)
            for home in ["a", "b"] {
                #expect(try await scene.json(home, "note", "show", note)["body"] == "敏感肌,春天会过敏,用面霜👍🏽")
                #expect(try await scene.json(home, "conflicts") == [])
                #expect(try await scene.json(home, "search", "春天会过敏")[0]["id"].text == note)
                #expect(try await scene.json(home, "search", "换季") == [])
            }
        }
    }

    @Test func whatArrivesWhileAnEditorIsOpenStandsWithTheEdit() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "第一行\n第二行")
            try await scene.ok("b", "note", "edit", note, "小李: 第一行\n第二行")
            try await scene.ok("b", "sync")
            let script = try editor(scene, "\(Programs.shoal) sync > /dev/null\nsed -i 's/第二/第二三/' \"$1\"")
            let outcome = try await scene.shoal("a", ["note", "edit", note], variables: script)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(try await scene.json("a", "note", "show", note)["body"] == "小李: 第一行\n第二三行")
            try await settle(scene)
            #expect(try await scene.json("b", "note", "show", note)["body"] == "小李: 第一行\n第二三行")
            // No file of an editor is left.
            let files = try FileManager.default.contentsOfDirectory(atPath: scene.home("a"))
            #expect(files.allSatisfy { !$0.hasPrefix("note-") }, "\(files)")
        }
    }

    /// Somebody deletes the note while it is being edited, and this home learns it before the editor is closed.
    @Test func whatWasTypedIntoADeletedNoteIsKept() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "文")
            try await scene.ok("b", "note", "delete", note)
            try await scene.ok("b", "sync")
            let script = try editor(scene, "\(Programs.shoal) sync > /dev/null\necho 很长的文字 > \"$1\"")
            let outcome = try await scene.shoal("a", ["note", "edit", note], variables: script)
            #expect(outcome.status == 1 && outcome.sentences.count == 1, "\(outcome.errors)")
            let path = try #require(
                outcome.errors.split(separator: " ").last.map { $0.trimmingCharacters(in: .newlines) })
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "很长的文字\n")
        }
    }

    /// An editor that is killed, or fails after it has saved, takes nothing along.
    @Test func whatAnEditorSavedBeforeItFailedIsKept() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "文")
            for end in ["exit 1", "kill -9 $$"] {
                let script = try editor(scene, "echo 很长的文字 > \"$1\"\n\(end)")
                let outcome = try await scene.shoal("a", ["note", "edit", note], variables: script)
                #expect(outcome.status == 1 && outcome.errors.contains("nothing was changed"), "\(outcome.errors)")
                let path = try #require(
                    outcome.errors.split(separator: " ").last.map { $0.trimmingCharacters(in: .newlines) })
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "很长的文字\n")
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(try await scene.json("a", "note", "show", note)["body"] == "文")
            // Nothing is left of an editor that gives up.
            let outcome = try await scene.shoal("a", ["note", "edit", note], variables: editor(scene, "exit 1"))
            #expect(outcome.status == 1)
            let files = try FileManager.default.contentsOfDirectory(atPath: scene.home("a"))
            #expect(files.allSatisfy { !$0.hasPrefix("note-") }, "\(files)")
        }
    }

    @Test func whatAnEditorLeftIsErasedWithItsCustomer() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "文")
            let customer = try #require(try await scene.json("a", "note", "show", note)["customer"].text)
            _ = try await scene.shoal(
                "a", ["note", "edit", note], variables: editor(scene, "echo 很长 > \"$1\"\nexit 1"))
            func drafts() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: scene.home("a")).filter { $0.hasPrefix("note-") }
            }
            #expect(try drafts().count == 1)
            #expect(try await scene.shoald("erase", customer).status == 0)
            try await scene.ok("a", "sync")
            #expect(try drafts() == [])
        }
    }

    @Test func historyTellsWhoWroteWhichPart() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "皮肤敏感")
            try await scene.ok("b", "note", "edit", note, "皮肤不敏感\n第二行")
            try await settle(scene)
            let parts = try await scene.json("a", "note", "show", note, "--history")["history"]
            #expect(parts.items.map { $0["text"] } == ["皮肤", "不", "敏感", "\n第二行"])
            #expect(parts.items.map { $0["by"] } == ["小王", "小李", "小王", "小李"])
            #expect(parts.items.allSatisfy { $0.keys == ["text", "by", "at"] && $0["at"].isTime })
            let lines = try await scene.ok("a", "note", "show", note, "--history").split(separator: "\n")
            #expect(
                lines.filter { $0.hasSuffix("  小王") }.count == 2 && lines.filter { $0.hasSuffix("  小李") }.count == 2)
            #expect(lines.contains("  不") && lines.contains("  第二行"))
            #expect(try await scene.json("a", "note", "show", note).keys == ["customer", "id", "body", "by", "at"])
        }
    }

    @Test func aHostileTextIsNeutralizedInTheHistoryToo() async throws {
        try await Scene.run { scene in
            let hostile = "evil\u{1B}[31m\u{7F}\u{85}\u{202E}\u{2066}\u{E0041}\rX"
            let note = try await pair(scene, hostile)
            try await scene.ok("b", "note", "edit", note, hostile + "\u{1B}]0;t\u{7}")
            try await settle(scene)
            for words in [["note", "show", note], ["note", "show", note, "--history"]] {
                let outcome = try await scene.shoal("a", words)
                #expect(outcome.status == 0)
                let bad = outcome.text.unicodeScalars.filter {
                    $0 != "\n"
                        && ($0.properties.generalCategory == .control || $0.properties.generalCategory == .format)
                }
                #expect(bad.isEmpty, "\(words) \(bad)")
            }
            #expect(try await scene.json("a", "note", "show", note)["body"].text == hostile + "\u{1B}]0;t\u{7}")
        }
    }

    @Test func anEditThatChangesNothingSendsNothingAndATextMayBeCleared() async throws {
        try await Scene.run { scene in
            let note = try await pair(scene, "文\r\n字")
            let unchanged = try await scene.shoal("a", ["note", "edit", note], variables: editor(scene, ":"))
            #expect(unchanged.status == 0)
            try await scene.ok("a", "note", "edit", note, "文\r\n字")
            #expect(try await scene.json("a", "status")["pending"] == 0)
            // The end of a text may look like a part of the newline after it.
            try await scene.ok("a", "note", "edit", note, "文\r")
            let pending = try await scene.json("a", "status")["pending"]
            #expect(try await scene.shoal("a", ["note", "edit", note], variables: editor(scene, ":")).status == 0)
            #expect(try await scene.json("a", "status")["pending"] == pending)
            #expect(try await scene.json("a", "note", "show", note)["body"] == "文\r")
            let emptied = try await scene.shoal("a", ["note", "edit", note], variables: editor(scene, ": > \"$1\""))
            #expect(emptied.status == 1 && emptied.errors.contains("left as it is"))
            try await scene.ok("a", "note", "edit", note, "")
            try await settle(scene)
            #expect(try await scene.json("b", "note", "show", note)["body"] == "")
            #expect(try await scene.json("b", "note", "show", note, "--history")["history"] == [])
            try await scene.ok("b", "note", "edit", note, "又")
            try await settle(scene)
            #expect(try await scene.json("a", "note", "show", note)["body"] == "又")
        }
    }
}
