/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** The mark of the product. */

/** A delta with something kept inside. */
export function Logo() {
  return (
    <svg class="logo" width="26" height="26" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="var(--brand)" />
      <path d="M16 7.5 25 24H7z" fill="none" stroke="#fff" stroke-width="2.6" stroke-linejoin="round" />
      <circle cx="16" cy="18.6" r="2" fill="#fff" />
    </svg>
  );
}
