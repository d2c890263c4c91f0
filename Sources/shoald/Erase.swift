import ArgumentParser
import Foundation
import ShoalCRDT
import ShoalServer

struct Erase: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Erase everything about a customer, for good.",
        discussion: """
            Contents, notes, conflicts and history go from the server at once, and from each replica with its next sync;
            unsent work about the customer goes too. What stays is the id, and when and by whom it was erased. It is erased
            again when a backup is restored in this data directory; backups made before still hold the customer, so delete
            them in time.

              shoald erase 0D4K7M2Q9X1AB --dry-run
              shoald erase 0D4K7M2Q9X1AB
            """)

    @Argument(help: "The customer: all 13 characters of its id.") var id: String
    @Flag(help: "Only say how much it is.") var dryRun = false
    @OptionGroup var global: GlobalOptions

    func validate() throws { _ = try person() }

    private func person() throws -> RecordID {
        guard let person = RecordID(text: id), person.isValid else {
            throw ValidationError("a customer to be erased is named by all 13 characters of its id")
        }
        return person
    }

    func run() async throws {
        let person = try person()
        let request = ErasureRequest(person: person.description, by: NSUserName(), isDryRun: dryRun)
        let report = try await Administration.with(global) { try await $0.erase(request, person) }
        if global.json { return try global.printJSON(report) }
        let records = report.stored == 1 ? "1 record" : "\(report.stored) records"
        let replicas =
            report.accounts == 1 ? "the replicas of 1 account" : "the replicas of \(report.accounts) accounts"
        print(
            "\(records) \(dryRun ? "would be" : report.stored == 1 ? "is" : "are") erased; \(replicas) \(dryRun ? "would be" : "will be") told"
        )
    }
}
