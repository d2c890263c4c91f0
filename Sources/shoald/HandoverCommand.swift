import ArgumentParser
import ShoalServer

extension AccountCommand {
    struct Handover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give all customers of one account to another.",
            discussion: """
                The other account follows them from now on, and the first one no more; their replicas learn it with their next
                sync. What the first one wrote about them before it hears of it is still taken.

                  shoald account handover 小美 小红 --dry-run
                  shoald account handover 小美 小红
                  shoald account handover 0EK2V7Q0G8000 小红   of an identifier that no account has any more
                """)
        @Argument(help: "Whose customers they are: a name, or an identifier.") var from: String
        @Argument(help: "Who gets them.") var to: String
        @Flag(help: "Only say how many they are.") var dryRun = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let report = try await Administration.with(global) {
                try await $0.handover(HandoverRequest(from: from, to: to, isDryRun: dryRun))
            }
            if global.json { return try global.printJSON(report) }
            let customers = report.customers == 1 ? "1 customer" : "\(report.customers) customers"
            print(
                "\(customers) \(dryRun ? "would be" : report.customers == 1 ? "is" : "are") handed over, \(report.shared) of them shared by both before"
            )
        }
    }
}
