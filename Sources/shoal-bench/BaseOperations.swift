import ShoalCRDT
import ShoalProtocol

/// The base of a workload as the logs of its accounts: what an importer would have written.
///
/// An importer writes a customer's row as one operation: its fields, its first follower and its tags. Follow relations of
/// others are operations of theirs. Identifiers carry the times of the workload.
struct BaseOperations {
    /// The logs, by place of the account. The first part makes records, the second follows records of the first.
    private(set) var makes: [Operations]
    private(set) var follows: [Operations]
    private(set) var customers: [String: RecordID] = [:]
    private(set) var tags: [String: RecordID] = [:]
    let accounts: [String]
    let accountIDs: [RecordID]

    /// - Parameters:
    ///   - accounts: the accounts' names in the workload, with their records and replicas.
    init(_ workload: Workload, accounts: [(name: String, id: RecordID, replica: ReplicaID)]) throws {
        self.accounts = accounts.map(\.name)
        accountIDs = accounts.map(\.id)
        makes = Array(repeating: Operations(), count: accounts.count)
        follows = makes
        var place: [String: Int] = [:]
        for (index, account) in accounts.enumerated() { place[account.name] = index }
        var allocators = [RecordIDAllocator](repeating: RecordIDAllocator(), count: accounts.count)
        var groups: [String: RecordID] = [:]

        func next(_ index: Int, _ time: Int64) throws -> RecordID {
            guard let id = allocators[index].next(time: time, replica: accounts[index].replica) else {
                throw BenchError("no more identifiers")
            }
            return id
        }

        var position = 0
        while position < workload.base.count {
            let line = workload.base[position]
            guard let index = place[line.account] else { throw BenchError("unknown account \(line.account)") }
            switch line.kind {
            case .account: break
            case .tagdef:
                if groups[line.group] == nil {
                    let id = try next(index, line.time)
                    groups[line.group] = id
                    makes[index].begin(
                        record: id, time: line.time, creates: Envelope(kind: .tagGroup, scope: .workspace))
                    makes[index].edit(CellKey(.groupName), text: line.group)
                    makes[index].edit(CellKey(.groupFolded), text: line.group)
                }
                let id = try next(index, line.time)
                tags[line.tag] = id
                makes[index].begin(record: id, time: line.time, creates: Envelope(kind: .tag, scope: .workspace))
                makes[index].edit(CellKey(.tagName), text: line.value)
                makes[index].edit(CellKey(.tagFolded), text: line.value)
                makes[index].edit(CellKey(.tagGroup), .integer, integer: groups[line.group]?.rawValue ?? 0)
            case .customer:
                position = try addCustomer(at: position, of: workload, index, try next(index, line.time), place)
                continue
            case .note:
                let customer = try customer(line.customer)
                let id = try next(index, line.time)
                makes[index].begin(
                    record: id, time: line.time, creates: Envelope(kind: .note, scope: .customer(customer)))
                makes[index].edit(CellKey(.body), text: line.value)
            default: throw BenchError("the base has an operation out of place")
            }
            position += 1
        }
    }

    func customer(_ name: String) throws -> RecordID {
        guard let id = customers[name] else { throw BenchError("unknown customer \(name)") }
        return id
    }

    func tag(_ name: String) throws -> RecordID {
        guard let id = tags[name] else { throw BenchError("unknown tag \(name)") }
        return id
    }

    /// Adds a customer with the lines that belong to it; returns where the next thing begins.
    private mutating func addCustomer(
        at start: Int, of workload: Workload, _ index: Int, _ id: RecordID, _ place: [String: Int]
    ) throws -> Int {
        let line = workload.base[start]
        customers[line.customer] = id
        var end = start + 1
        var assigned: [RecordID] = []
        var followers: [Int] = []
        while end < workload.base.count, workload.base[end].customer == line.customer {
            let part = workload.base[end]
            if part.kind == .addtag {
                assigned.append(try tag(part.tag))
            } else if part.kind == .follow {
                guard let follower = place[part.account] else { throw BenchError("unknown account \(part.account)") }
                followers.append(follower)
            } else {
                break
            }
            end += 1
        }
        makes[index].begin(record: id, time: line.time, creates: Envelope(kind: .customer, scope: .customer(id)))
        makes[index].edit(CellKey(.name), text: line.name)
        makes[index].edit(CellKey(.birthMonth), text: line.birthMonth)
        makes[index].edit(CellKey(.skin), text: line.skin)
        makes[index].edit(CellKey(.unionID), text: line.unionID)
        // The workload's remark is a register of the customer.
        makes[index].edit(CellKey(.wangwang), text: line.remark)
        makes[index].edit(CellKey(.source), text: line.source)
        if followers.contains(index) { makes[index].edit(CellKey(.follow, id: accountIDs[index]), .present) }
        for tag in assigned.sorted() { makes[index].edit(CellKey(.tagged, id: tag), .present) }
        for follower in followers where follower != index {
            follows[follower].begin(record: id, time: line.time)
            follows[follower].edit(CellKey(.follow, id: accountIDs[follower]), .present)
        }
        return end
    }
}

struct BenchError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
