/** The name of the JavaScript file that a TypeScript file becomes. */
export const javascriptName = (path: string): string => path.replace(/\.([cm]?)ts$/, '.$1js');
