import ArgumentParser
import ShoalServer

struct Recover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask replicas for what they held of what this server has lost.",
        discussion: """
            After a backup was put back, or when the data directory was lost and made anew. Everybody's own work comes back
            by itself; with this, replicas also give back what they had of others, each at its next sync. What no replica
            holds any more cannot come back. Of a lost directory, add the accounts again (shoald account add) and let
            everybody enroll again with a new code (shoal enroll); their homes keep all that they hold.

            Roles do not come back: only you give them. An account that a replica says there was is listed as known from a
            relay; shoald account add gives it a role and a code. Which customers an account had is at first its own home's
            word, which shoald account list says until somebody else has said the same. If others say otherwise, it is taken
            back: that account enrolls again with a new code, and shoald audit shows it.

              shoald recover
              shoald recover --finish          when all have synced
            """)

    @Flag(help: "End the recovery.") var finish = false
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let report = try await Administration.with(global, creates: !finish) {
            try await $0.recover(RecoveryRequest(finishes: finish))
        }
        if global.json { return try global.printJSON(report) }
        if report.isOn {
            print("recovery is on: every replica gives back what it holds at its next sync")
            print("roles do not come back: give those whom shoald account list calls known from a relay theirs")
            print("end it with shoald recover --finish when all have synced")
        } else {
            print("recovery is over; \(Self.counted(report.forgotten, "mark")) waited for operations that never came")
        }
    }

    private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}
