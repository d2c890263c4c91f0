import ShoalCRDT

/// A row as it is stored.
struct AuditRow {
    /// Of its first entry.
    var number: Int64
    /// By which links name the row: ascending, with gaps; 0 in a row of the first form, which no link names.
    var mark: Int64
    var form: AuditForm
    var bytes: [UInt8]
    var author: AuditAuthor

    /// Where the row before this one lies that mentions a record.
    enum Place: Equatable {
        case row(mark: Int64)
        /// Among those of the first form, which are listed: the newest with a smaller number.
        case listed(before: Int64)
    }

    /// - Returns: nil if this row does not mention the record.
    func place(before record: RecordID, _ sections: [AuditSection]) -> Place? {
        guard let section = sections.first(where: { $0.record == record }) else { return nil }
        let previous = mark.subtractingReportingOverflow(section.link)
        return form.isFirst || section.link < 2 || previous.overflow
            ? .listed(before: number) : .row(mark: previous.partialValue + 1)
    }

    /// Erases what the row says of values of a record: the digest takes the place of the changes. With the first of them the
    /// row's salt goes, because the salt of what is erased could be made of it; the others keep their salts beside them.
    ///
    /// - Returns: how many sections had any.
    mutating func erase(_ record: RecordID) throws(DecodingFailure) -> Int {
        let form = form
        let result = bytes.withUnsafeBytes { row -> Result<(bytes: [UInt8], erased: Int), DecodingFailure> in
            do throws(DecodingFailure) {
                var written: [UInt8] = []
                var erased = 0
                var last: Int64 = 0
                for section in try AuditSection.read(row, form) {
                    let isErased = section.isErased || section.record == record
                    if isErased, !section.isErased { erased += 1 }
                    var body = isErased ? section.digest(in: row, form) : Array(row[section.body])
                    if case .linked(let salt) = form, !isErased { body = salt.salt(section.index) + body }
                    if form.isFirst {
                        written.appendVarint(UInt64(bitPattern: section.record.rawValue))
                        written.append(isErased ? 0 : 1)
                        if !isErased { written.appendVarint(body.count) }
                    } else {
                        AuditSection.appendHead(
                            section.record, link: section.link, body.count, isErased: isErased, after: &last,
                            to: &written)
                    }
                    written.append(contentsOf: body)
                }
                return .success((written, erased))
            } catch { return .failure(error) }
        }
        let (written, erased) = try result.get()
        if erased > 0 {
            bytes = written
            if !form.isFirst { self.form = .opened }
        }
        return erased
    }
}
