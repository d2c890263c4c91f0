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
              shoald account handover 小美 小红             all customers of one to the other
              shoald account disable 小美                 she may do nothing from now on
              shoald account role 小美 --role supervisor
            """,
        subcommands: [
            Add.self, List.self, Code.self, Handover.self, Disable.self, Enable.self, RoleChange.self,
        ])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add an account and print a code to enroll it with.",
            discussion: """
                  shoald account add 小美 --role expert       prints the code alone
                  shoald account add 小美 --role sales --json  {"account","code"}

                After a loss an account may be there that only a relay knows. It has no role; adding it gives it one, and
                it keeps what it had.
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
            for account in accounts { print(account.line) }
        }
    }

    struct Code: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print another enrolment code for an account.",
            discussion: """
                  shoald account code 小美
                  shoald account code 小美 --cancel          takes back those that nobody has used
                """)
        @Argument(help: "The account's name.") var name: String
        @Flag(help: "Take back the codes that were not used yet, and make none.") var cancel = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            if cancel {
                let count = try await Administration.with(global) { try await $0.cancelCodes(AccountName(name: name)) }
                if global.json { return try global.printJSON(["cancelled": count]) }
                return print("\(count) \(count == 1 ? "code" : "codes") taken back")
            }
            let made = try await Administration.with(global) { try await $0.code(AccountName(name: name)) }
            if global.json { try global.printJSON(made) } else { print(made.code) }
        }
    }
}

extension AccountCommand {
    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse everything from an account and its devices from now on.",
            discussion: """
                Its devices are revoked: at their next contact they hand over what they had not sent, and lock and empty
                themselves. Its open codes are taken back.

                  shoald account disable 小美
                """)
        @Argument(help: "The account's name.") var name: String
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await Administration.with(global) { try await $0.change(AccountChange(name: name, isDisabled: true)) }
            if global.json { try global.printJSON([String: String]()) }
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let devices of a disabled account be enrolled again.",
            discussion: """
                Devices from before stay revoked; each is enrolled anew with a code.

                  shoald account enable 小美
                """)
        @Argument(help: "The account's name.") var name: String
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await Administration.with(global) { try await $0.change(AccountChange(name: name, isDisabled: false)) }
            if global.json { try global.printJSON([String: String]()) }
        }
    }

    struct RoleChange: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "role", abstract: "Give an account another role.",
            discussion: """
                Its devices hear of it with their next sync.

                  shoald account role 小美 --role supervisor
                """)
        @Argument(help: "The account's name.") var name: String
        @Option(help: ArgumentHelp("expert, sales or supervisor.", valueName: "role")) var role: Role
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await Administration.with(global) { try await $0.change(AccountChange(name: name, role: role)) }
            if global.json { try global.printJSON([String: String]()) }
        }
    }
}

extension Account {
    /// How it is listed: one line, whatever it has.
    fileprivate var line: String {
        let devices = devices.map { device in
            [device.replica, Self.listed(device.name), device.state == .active ? "" : device.state.rawValue]
                .filter { !$0.isEmpty }.joined(separator: " ")
        }
        var parts = ["\(id)  \(doubt == .relayed ? "no role" : role)  \(Self.listed(name))"]
        let count = replicas == 1 ? "1 device" : "\(replicas) devices"
        parts.append("(\(([count] + devices).joined(separator: "; ")))")
        if let disabled { parts.append("disabled since \(disabled)") }
        if let leftAlone, leftAlone > 0 {
            let customers = leftAlone == 1 ? "1 customer" : "\(leftAlone) customers"
            parts.append("\(customers) that nobody else follows: shoald account handover \(name) NAME gives them away")
        }
        switch doubt {
        case .relayed:
            parts.append("known from a relay: shoald account add \(name) --role ROLE gives it a role and a code")
        case .claimed: parts.append("its home says that this was its identifier; nobody else has said so yet")
        case nil: break
        }
        for code in codes { parts.append("a code that can be used until \(code)") }
        return parts.joined(separator: "  ")
    }

    /// A name in quotes if it could be taken for what the program says of it.
    private static func listed(_ name: String) -> String {
        let isPlain = !name.contains { "();\"\\".contains($0) } && !name.contains("  ")
        if isPlain { return name }
        return "\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}

extension Role: ExpressibleByArgument {}
