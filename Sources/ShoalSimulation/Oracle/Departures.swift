import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

// Who may have lost sight of what, and what the server itself writes.
extension Oracle {
    /// An account, and a customer that it may see no more; none for all of them.
    struct Departure: Hashable {
        var account: RecordID
        var customer: RecordID?
    }

    func noteDeparture(of account: RecordID, from customer: RecordID?) {
        departures.insert(Departure(account: account, customer: customer))
    }

    /// Whether an account may ever have lost sight of a customer.
    func mayHaveLost(_ account: RecordID, _ customer: RecordID) -> Bool {
        departures.contains(Departure(account: account, customer: nil))
            || departures.contains(Departure(account: account, customer: customer))
    }

    /// What a hand-over of a customer writes, as it replaces what the server has.
    func event(ofHandingOver record: Record, from giver: RecordID, to taker: RecordID) -> Event {
        var event = Event(hash: .start, machine: -1, record: record.id)
        let view = view(of: record, -1)
        for (account, value) in [(giver, CellValue.absent), (taker, .present)] {
            let cell = CellName(record.id, .follow, .id(account))
            event.writes.append(Event.Write(cell: cell, value: value, superseded: view.live(in: cell)))
        }
        let key = CellKey(.addWay, id: taker)
        if record.shown(in: record.range(of: key)) == nil {
            event.writes.append(
                Event.Write(cell: CellName(record.id, .addWay, .id(taker)), value: .text("202"), superseded: []))
        }
        return event
    }
}

extension Model {
    /// The additions of followers that stand, by customer.
    var additions: [RecordID: [(event: OperationHash, account: RecordID)]] {
        var additions: [RecordID: [(event: OperationHash, account: RecordID)]] = [:]
        for (id, envelope) in envelopes where envelope.kind == .customer {
            for cell in cellsOf[id] ?? [] where cell.field == .follow {
                guard case .id(let account) = cell.element else { continue }
                for live in cells[cell] ?? [] where live.value == .present {
                    additions[id, default: []].append((live.event, account))
                }
            }
        }
        return additions
    }
}
