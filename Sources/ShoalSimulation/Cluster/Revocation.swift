import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

// Devices that are revoked and accounts that are disabled: what they had not sent is handed over, then they are empty.
extension Cluster {
    private var book: Accounts {
        get throws { Accounts(store: try server.opened(), environment: server.environment) }
    }

    /// Who a machine's key says it is, if it was locked out.
    func lockedOut(_ machine: ClientMachine) throws -> Credential? {
        guard hasRevoked, server.isUp, let known = try book.credential(key: machine.key) else { return nil }
        return known.standing == .active ? nil : known
    }

    /// The machines that may still work, as far as the server says.
    func working() throws -> [ClientMachine] { try machines.filter { try lockedOut($0) == nil } }

    /// A device was lost.
    func revoke(_ machine: ClientMachine) throws {
        guard let credential = try book.credential(key: machine.key) else { return }
        hasRevoked = true
        try book.revoke(device: credential.replica.text, discards: false)
    }

    /// Somebody leaves, or is back and gets a new device.
    func setDisabled(_ isDisabled: Bool, account: Int) throws {
        hasRevoked = true
        try book.setDisabled(isDisabled, name: accounts[account].name)
    }

    func isDisabled(account: Int) throws -> Bool {
        try book.list().contains { $0.name == accounts[account].name && $0.disabled != nil }
    }

    /// Gives an account another device.
    func equip(account: Int) throws { try enroll(accounts[account], book) }

    /// Its home was emptied.
    func retire(_ machine: ClientMachine) {
        machine.crash(.processes)
        machines.removeAll { $0 === machine }
    }

    /// Hands over all that a machine has, over a faultless network, if it was locked out.
    func handOverWhole(_ machine: ClientMachine) throws -> Bool {
        guard let credential = try lockedOut(machine) else { return false }
        if machine.handover == nil { try machine.beginHandover(credential.reason) }
        while case .send(let plain)? = try machine.handover?.next() {
            let body = try machine.spoken(plain)
            let answer = try server.handOver(body, by: try lockedOut(machine) ?? credential)
            trace.note("settle handover", bytes: answer, words: FrameWords.of(body, answer, machine))
            try machine.handover?.received(answer)
        }
        do { try machine.handover?.finish() } catch ReplicaError.locked {}
        retire(machine)
        return true
    }
}

extension Credential {
    /// What the server says to who was locked out.
    var reason: Lockout.Reason { standing == .disabled ? .disabled : .revoked }
}
