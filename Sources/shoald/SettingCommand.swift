import ArgumentParser
import ShoalServer

struct SettingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setting",
        abstract: "Settings of the workspace.",
        discussion: """
            Without a value it prints what is set. Replicas hear of a change with their next sync.

            tag-editors: who may rename, merge, archive and delete tags: everyone, experts (and supervisors), supervisors.

              shoald setting
              shoald setting tag-editors supervisors
            """)

    @Argument(help: "Its name.") var name: String?
    @Argument(help: "What to set it to.") var value: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let settings = try await Administration.with(global) { administration in
            if let name, let value { try await administration.set(NewSetting(name: name, value: value)) }
            return try await administration.settings()
        }
        let wanted = settings.filter { name == nil || $0.name == name }
        if let name, wanted.isEmpty { throw Failure(AccountProblem.unknownSetting(name).description) }
        if global.json {
            return try global.printJSON(Dictionary(uniqueKeysWithValues: wanted.map { ($0.name, $0.value) }))
        }
        if value != nil { return }
        for setting in wanted { print("\(setting.name) \(setting.value)  (\(setting.values.joined(separator: ", ")))") }
    }
}
