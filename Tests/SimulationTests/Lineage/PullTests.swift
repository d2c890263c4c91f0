import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// What comes with a pull, and what it must not undo.
struct PullTests {
    private static let year: Int64 = 365 * 86_400_000

    /// The replica's own rows get the time that the server gave its operations, like everybody's.
    @Test(arguments: [year, -year])
    func aLoweredTimeComesBackToItsAuthor(ahead: Int64) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna", ahead: ahead)
        let bert = try scene.machine("bert")
        // Before the first contact nothing is known of the server's clock but what enrolment said.
        let id = try anna.replica.addCustomer(name: "c")
        _ = try anna.replica.addNote(to: id, "note")
        try scene.settle([anna, bert])
        let times = try [anna, bert].map { try $0.replica.notes(of: id).map(\.at) }
        #expect(times[0] == times[1])
        #expect(try #require(times[0].first) <= scene.world.now())
        // The lesson is learned: both can win.
        for (index, machine) in [anna, bert, anna].enumerated() {
            try machine.replica.setFields(of: id, [FieldValue("stage", "\(index)")])
            try scene.settle([anna, bert])
            #expect(try anna.replica.customer(id).fields.contains { $0.name == "stage" && $0.value == "\(index)" })
        }
    }

    /// The deletion comes with one page, the edit that it did not see with a later one.
    @Test func aDeleteWhileAConcurrentEditWaitsOnALaterPage() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let cara = try scene.machine("cara")
        let id = try anna.replica.addCustomer(name: "c")
        let note = try anna.replica.addNote(to: id, "note")
        try scene.settle([anna, bert, cara])
        try anna.replica.deleteCustomer(id)
        try anna.sync()
        // Enough between the two that they cannot come in one page.
        let long = String(repeating: "长", count: 15_000)
        try anna.replica.write { commands in
            for index in 0..<60 { _ = try commands.addCustomer(name: "\(index)", fields: [FieldValue("x-long", long)]) }
        }
        try anna.sync()
        try bert.replica.editNote(note, "edited without having seen the deletion")
        try bert.sync()
        try scene.settle([cara, anna, bert])
        #expect(try cara.replica.notes(of: id).map(\.body) == ["edited without having seen the deletion"])
        #expect(try cara.replica.customer(id).fields.contains { $0.value == "c" })
    }

    /// Choosing takes the old choice away and adds the new one: both or neither.
    @Test func aChoiceIsTakenOrRefusedWhole() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        _ = try anna.replica.addTag("肤质/油", single: true)
        _ = try anna.replica.addTag("肤质/干")
        try anna.replica.editTags(of: [id], [.add("肤质/油")])
        try scene.settle([anna, bert])
        // Together they leave no room in the record for anything more.
        let text = String(repeating: "字", count: 20_000)
        for index in 0..<17 {
            for (name, machine) in [("a", anna), ("b", bert)] {
                try machine.replica.setFields(of: id, [FieldValue("x-\(name)\(index)", text)])
            }
        }
        try anna.sync()
        // Whatever of these fits is taken, until there is less room than the smallest needs.
        var size = 48_000
        while size > 0 {
            for name in ["p", "q"] {
                try bert.replica.setFields(
                    of: id, [FieldValue("x-\(name)\(size)", String(repeating: "x", count: size))])
            }
            size /= 2
        }
        try bert.replica.editTags(of: [id], [.add("肤质/干")])
        try bert.sync()
        #expect(try bert.replica.refused().contains { $0.values.contains { $0.name.hasPrefix("tag") } })
        try scene.settle([anna, bert])
        #expect(try anna.replica.customer(id).tags.map(\.name) == ["油"])
    }
}
