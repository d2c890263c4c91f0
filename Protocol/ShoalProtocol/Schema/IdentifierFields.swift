import ShoalCRDT

extension Schema {
    /// Fields whose integers are identifiers of records: a record that gets another identifier is renamed there too.
    public static let identifierFields: Set<Field> = [.tagGroup]
}
