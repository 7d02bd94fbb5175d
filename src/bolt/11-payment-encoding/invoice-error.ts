/** Why a text is no invoice that may be paid, or why fields cannot become one (BOLT 11, "Requirements"). */
export type InvoiceErrorCode =
  // The text
  | 'too_long'
  | 'too_short'
  | 'no_separator'
  | 'mixed_case'
  | 'invalid_character'
  | 'bech32_checksum'
  // The human-readable part
  | 'unknown_prefix'
  | 'wrong_network'
  | 'invalid_amount'
  | 'invalid_multiplier'
  | 'sub_millisatoshi'
  // The fields
  | 'field_too_long'
  | 'truncated_field'
  | 'wrong_field_length'
  | 'invalid_padding'
  | 'not_minimal'
  | 'out_of_range'
  | 'invalid_utf8'
  | 'invalid_node_id'
  | 'duplicate_field'
  | 'missing_payment_hash'
  | 'missing_payment_secret'
  | 'missing_description'
  | 'two_descriptions'
  | 'unknown_required_feature'
  | 'missing_feature_dependency'
  // The signature
  | 'high_s_with_n'
  | 'wrong_signature'
  | 'signature_not_recoverable';

/** The message says what was expected and what was found. */
export class InvoiceError extends Error {
  override readonly name = 'InvoiceError';
  readonly code: InvoiceErrorCode;

  constructor(code: InvoiceErrorCode, detail: string) {
    super(`${code}: ${detail}`);
    this.code = code;
  }
}
