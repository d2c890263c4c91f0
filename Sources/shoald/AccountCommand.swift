import ArgumentParser
import Foundation
import ShoalProtocol
import ShoalServer

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Accounts and their enrolment codes.",
        discussion: """
            A code enrolls one replica, is good for 24 hours, and is shown only once.

              shoald account add 小美 --role expert
              shoald account code 小美                    for another device of the same person
              shoald account list
            """,
        subcommands: [Add.self, List.self, Code.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add an account and print a code to enroll it with.",
            discussion: """
                  shoald account add 小美 --role expert       prints the code alone
                  shoald account add 小美 --role sales --json  {"account","code"}
                """)
        @Argument(help: "The account's name.") var name: String
        @Option(help: ArgumentHelp("expert, sales or supervisor.", valueName: "role")) var role: Role
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let made = try await Administration.with(global, creates: true) {
                try await $0.add(name, role: role)
            }
            if global.json { try global.printJSON(made) } else { print(made.code) }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the accounts.")
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let accounts = try await Administration.with(global) { try await $0.list() }
            if global.json { return try global.printJSON(accounts) }
            for account in accounts {
                let replicas = account.replicas == 1 ? "1 replica" : "\(account.replicas) replicas"
                print("\(account.id)  \(account.role)  \(account.name)  (\(replicas))")
            }
        }
    }

    struct Code: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print another enrolment code for an account.",
            discussion: "  shoald account code 小美")
        @Argument(help: "The account's name.") var name: String
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let made = try await Administration.with(global) { try await $0.code(AccountName(name: name)) }
            if global.json { try global.printJSON(made) } else { print(made.code) }
        }
    }
}

extension Role: ExpressibleByArgument {}
