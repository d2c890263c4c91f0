import ArgumentParser

struct Customer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "customer",
        abstract: "Add, change, show, list and delete customers.",
        discussion: """
            EXAMPLES:
              shoal customer add 王小明 --field phone=13800000000 --field source=抖音
              shoal customer set 0D4K stage=老客 birth_month=05
              shoal customer list 'tag:油皮 birth:05'
            """,
        subcommands: [
            CustomerAdd.self, CustomerSet.self, CustomerShow.self, CustomerList.self, CustomerDelete.self,
        ])
}
