/** The forms that a bill of materials has. */
export const BILL_FORMATS = ['cyclonedx', 'spdx'] as const;

/** One of them. */
export type BillFormat = (typeof BILL_FORMATS)[number];
